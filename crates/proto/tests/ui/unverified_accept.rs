//! A stream is read after its accept was verified, not after it was parsed.

use landbridge_proto::machine::receive::Reception;
use landbridge_proto::wire::stream::Accept;

fn read(accept: &Accept) -> Reception {
    Reception::start(accept)
}

fn main() {}
