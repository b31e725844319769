//! Runs a scripted model and a gateway until Ctrl-C, for a person to try things against.

use std::path::Path;

use anyhow::Context;
use landbridge_harness::gateway::{Gateway, Installed};
use landbridge_harness::model::Model;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder =
        std::env::var_os("LANDBRIDGE_OPENCLAW").context("LANDBRIDGE_OPENCLAW names no folder")?;
    let installed = Installed::at(Path::new(&folder))?;
    let model = Model::start().await?;
    let mut gateway = Gateway::start(&installed, &model.url()).await?;
    println!("gateway  {}", gateway.url());
    println!("token    {}", gateway.token());
    println!("folder   {}", gateway.folder().display());
    println!("model    {}", model.url());
    eprintln!(
        "agents: main (asks before commands), auto (does not); steer the model with `model: say hello`"
    );
    eprintln!("Ctrl-C ends both and removes the folder");
    tokio::signal::ctrl_c().await?;
    gateway.kill().await
}
