//! A root whose parts were not checked is not a root.
use landbridge_proto::wire::document::{Root, raw};

fn forge(raw: raw::Root) -> Root {
    Root(raw)
}

fn main() {
    let _ = forge;
}
