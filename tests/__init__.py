import os

# PostgreSQL does not run as root, and to start a process as somebody else Python forks: what gRPC does in a child then
# aborts it, when other threads are at work
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
