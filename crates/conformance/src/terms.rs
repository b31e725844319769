//! What the executor under test was told to do for the kit, and what its operator does when the kit asks.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::cases::Skipped;

/// What is granted to the kit, and which of it is there at all.
#[derive(Args, Clone, Debug)]
pub(crate) struct Terms {
    /// The agent that the executor grants to the kit.
    #[arg(long)]
    pub(crate) agent: String,
    /// The kit's tenant.
    #[arg(long, default_value = "default")]
    pub(crate) src: String,
    /// The executor's tenant.
    #[arg(long, default_value = "default")]
    pub(crate) dst: String,
    /// A prompt that the agent answers soon and successfully, best with several frames.
    #[arg(long, default_value = "Say hello.")]
    pub(crate) prompt: String,
    /// A prompt that keeps the agent at work until it is stopped; without one, some cases are skipped.
    #[arg(long = "endless-prompt")]
    pub(crate) endless: Option<String>,
    /// A second kit's home, which the same executor accepted too, under any grant.
    #[arg(long, value_name = "DIR")]
    pub(crate) other_home: Option<PathBuf>,
    /// The second kit's agent.
    #[arg(long, default_value = "other")]
    pub(crate) other_agent: String,
    /// The agent, kit's tenant and executor's tenant of a grant with `concurrent_max` 1,
    /// `starts_per_second` 1, and output disclosed as digests.
    #[arg(long, value_name = "AGENT:SRC:DST")]
    pub(crate) tight: Option<String>,
    /// A tool of the agent, granted, that may be called often.
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// Arguments with which the tool answers soon and successfully.
    #[arg(long, default_value = "{}")]
    pub(crate) tool_args: String,
    /// Arguments with which the tool is at work for some seconds.
    #[arg(long)]
    pub(crate) slow_tool_args: Option<String>,
    /// A prompt that is answered with ten megabytes, in small pieces and soon.
    #[arg(long)]
    pub(crate) flood_prompt: Option<String>,
    /// A prompt of which the run reports that it used tokens, and goes on.
    #[arg(long)]
    pub(crate) usage_prompt: Option<String>,
    /// A prompt of which the run waits for somebody's approval.
    #[arg(long)]
    pub(crate) waiting_prompt: Option<String>,
    /// A scope of the executor's whose holders the kit may ask.
    #[arg(long)]
    pub(crate) scope: Option<String>,
    /// A command that does what an operator of the executor would, when a case asks for it.
    #[arg(long = "hook", value_name = "NAME=COMMAND")]
    pub(crate) hooks: Vec<String>,
}

impl Terms {
    /// The command of a hook, or why the case is skipped.
    fn hook(&self, name: &str) -> Result<&str> {
        let split = self.hooks.iter().filter_map(|hook| hook.split_once('='));
        let mut named = split.filter(|(known, _)| *known == name);
        let missing = || Skipped(format!("no --hook {name}=COMMAND is given"));
        Ok(named.next().map(|(_, command)| command).ok_or_else(missing)?)
    }

    /// Skips a case unless all of these hooks are there, before it changes anything.
    pub(crate) fn needs(&self, names: &[&str]) -> Result<()> {
        names.iter().try_for_each(|name| self.hook(name).map(drop))
    }

    /// Has an operator's deed done; what it is about is the variable `ABOUT` of the command.
    ///
    /// Returns what the command printed.
    pub(crate) fn done(&self, name: &str, about: &str) -> Result<String> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(self.hook(name)?).env("ABOUT", about).stdin(Stdio::null());
        let output = command.output().context("a hook cannot be run")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the hook {name} ends with {}: {said}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A term that is given, or why the case is skipped.
    pub(crate) fn given<'a>(&self, term: &'a Option<String>, option: &str) -> Result<&'a str> {
        Ok(term.as_deref().ok_or_else(|| Skipped(format!("no {option} is given")))?)
    }

    /// The agent and the tenant pair of the tight grant.
    pub(crate) fn tight(&self) -> Result<(&str, Value)> {
        let tight = self.given(&self.tight, "--tight")?;
        let parts: Vec<&str> = tight.split(':').collect();
        let [agent, src, dst] = parts[..] else { anyhow::bail!("--tight AGENT:SRC:DST") };
        Ok((agent, json!({"dst": dst, "src": src})))
    }
}
