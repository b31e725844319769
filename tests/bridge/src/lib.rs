//! Two bridges as real processes, with real sockets and disks: killed, attacked, and cancelled. The
//! tests are below `tests/`; what they stand on is in `landbridge-harness`.
