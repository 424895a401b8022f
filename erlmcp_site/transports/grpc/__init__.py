"""The gRPC transport: typed calls in, answers and streams of events out (contract §2, §7, docs/grpc.md)."""
