"""What agents can do here by name: tools, each with its schemas, over the methods of the table."""
