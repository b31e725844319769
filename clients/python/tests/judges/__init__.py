"""What a gateway verifies, judged from `spec/` alone: the client's bytes and signatures, with a clock and a memory."""
