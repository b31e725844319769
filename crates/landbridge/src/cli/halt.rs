//! The kill switch.

use clap::Args;

pub(crate) const HALT: &str = "\
Stop everything that this bridge does for peers and asks of them, now and after every restart.

It makes the file HOME/halt, without asking the bridge, which looks for it all the time: so it works with
a full disk, a broken store, a local API that does not answer, and a bridge that does not run. Within a
second nothing new is started, within five every stream has ended. Runs at this gateway are stopped and
end as cancelled; runs at other gateways go on there, and are read again after `landbridge resume`.";

#[derive(Debug, Args)]
pub(crate) struct HaltArgs {
    /// Why, for the audit log and for whoever comes next
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: Option<String>,
}
