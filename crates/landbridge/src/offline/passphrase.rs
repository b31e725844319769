//! Passphrases of offline keys: from files and the environment for scripts, from a terminal for people.
//!
//! What was given is tried on every key, because several keys often have one passphrase and nobody wants
//! to type it three times. A passphrase lives in this process alone, for the length of one command.

use std::io::{self, Read as _};
use std::path::Path;

use landbridge_node::identity::{IdentityError, KeyFile, Passphrase, SealFault};
use landbridge_proto::trust::signer::KeySigner;
use zeroize::Zeroizing;

use super::terminal::ask_hidden;
use super::{identity_failure, short_kid};
use crate::cli::PassphraseArgs;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::out::{Look, Out};

/// The passphrases that this command knows so far.
pub(crate) struct Passphrases {
    known: Vec<Passphrase>,
    asks: bool,
}

impl Passphrases {
    /// What the flags and the environment say.
    pub(crate) fn given(args: &PassphraseArgs, out: &Out) -> Result<Self, Failure> {
        let mut known = Vec::new();
        for path in &args.passphrase_files {
            known.push(of_file(path)?);
        }
        if let (true, Some(value)) = (known.is_empty(), std::env::var_os(VARIABLE)) {
            let text = value.into_string().ok().map(Zeroizing::new);
            let text = text.ok_or_else(|| {
                Failure::new(Exit::Usage, format!("the value of {VARIABLE} is not UTF-8"))
            })?;
            known.push(
                Passphrase::new(text)
                    .or_fail(Exit::Usage, || format!("{VARIABLE} is not usable"))?,
            );
        }
        Ok(Self { known, asks: out.interactive() && !out.json() })
    }

    /// Nothing was given, so a person has to be asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The first that was given, for new keys.
    pub(crate) fn into_first(self) -> Option<Passphrase> {
        self.known.into_iter().next()
    }

    /// Opens a key file, and asks for what is missing where somebody can be asked.
    pub(crate) fn open(&mut self, file: &KeyFile, out: &Out) -> Result<KeySigner, Failure> {
        self.find(file, out)?;
        let opened = match self.known.last().filter(|_| file.is_sealed()) {
            Some(passphrase) => file.open(Some(passphrase)),
            None => file.open(None),
        };
        opened.map_err(|error| identity_failure(&error))
    }

    /// The passphrase that opens a file; `None` for a file that needs none.
    pub(crate) fn of(&mut self, file: &KeyFile, out: &Out) -> Result<Option<&Passphrase>, Failure> {
        self.find(file, out)?;
        Ok(self.known.last().filter(|_| file.is_sealed()))
    }

    /// Puts the passphrase that opens a file last.
    fn find(&mut self, file: &KeyFile, out: &Out) -> Result<(), Failure> {
        if !file.is_sealed() {
            return Ok(());
        }
        for at in (0..self.known.len()).rev() {
            match file.open(self.known.get(at)) {
                Ok(_) => {
                    let found = self.known.remove(at);
                    self.known.push(found);
                    return Ok(());
                }
                Err(IdentityError::NotOpened { fault: SealFault::NotOpened, .. }) => {}
                Err(error) => return Err(identity_failure(&error)),
            }
        }
        if !self.asks {
            return Err(self.shut(file));
        }
        for _ in 0..TRIES {
            let question = format!(
                "Passphrase of {} ({} key {}):",
                file.path().display(),
                file.holder_word(),
                short_kid(file.kid())
            );
            let typed = ask(&question)?;
            // One that could not have been chosen does not open anything.
            let Ok(passphrase) = Passphrase::new(typed) else {
                out.say(Look::Yellow, "that is not it");
                continue;
            };
            match file.open(Some(&passphrase)) {
                Ok(_) => {
                    self.known.push(passphrase);
                    return Ok(());
                }
                Err(IdentityError::NotOpened { fault: SealFault::NotOpened, .. }) => {
                    out.say(Look::Yellow, "that is not it");
                }
                Err(error) => return Err(identity_failure(&error)),
            }
        }
        Err(self.shut(file))
    }

    fn shut(&self, file: &KeyFile) -> Failure {
        let path = file.path().display();
        let why = if self.is_empty() {
            "it is encrypted"
        } else {
            "no passphrase that was given opens it"
        };
        Failure::new(Exit::Failed, format!("{path} cannot be opened"))
            .why(why)
            .next("the same command with --passphrase-file FILE, or on a terminal")
    }
}

/// Asks twice for a passphrase for new keys; `None` when the person wants none.
pub(crate) fn ask_new(what: &str, out: &Out) -> Result<Option<Passphrase>, Failure> {
    loop {
        let typed = ask(&format!("New passphrase for {what} (empty for none):"))?;
        if typed.is_empty() {
            return Ok(None);
        }
        let again = ask("The same again:")?;
        if typed != again {
            out.say(Look::Yellow, "the two differ; once more");
            continue;
        }
        match Passphrase::new(typed) {
            Ok(passphrase) => return Ok(Some(passphrase)),
            Err(error) => out.say(Look::Yellow, error.to_string()),
        }
    }
}

fn ask(question: &str) -> Result<Zeroizing<String>, Failure> {
    ask_hidden(question).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Failure::new(Exit::Interrupted, "nothing was done"),
        _ => Failure::new(Exit::Failed, "the passphrase cannot be asked for").because(error),
    })
}

/// The passphrase of a file: its only line.
pub(crate) fn of_file(path: &Path) -> Result<Passphrase, Failure> {
    let cannot = || format!("cannot use the passphrase in {}", path.display());
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX));
    let file = std::fs::File::open(path).or_fail(Exit::Usage, cannot)?;
    file.take(FILE_BYTES_MAX as u64).read_to_string(&mut text).or_fail(Exit::Usage, cannot)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    Passphrase::new(Zeroizing::new(line.to_owned())).or_fail(Exit::Usage, cannot)
}

/// Holds the passphrase where neither a terminal nor a file does.
const VARIABLE: &str = "LANDBRIDGE_PASSPHRASE";
const TRIES: usize = 3;
const FILE_BYTES_MAX: usize = 4096;
