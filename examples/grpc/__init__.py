"""A gRPC service with every shape of call, without generated code (needs grpcio)."""
