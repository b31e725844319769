//! Chores.

mod openclaw;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((noun, rest)) if noun == "openclaw" => openclaw::run(rest),
        _ => anyhow::bail!("usage: cargo xtask openclaw install|start|test"),
    }
}
