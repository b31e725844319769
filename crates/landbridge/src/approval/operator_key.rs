//! The key with which an operator decides: a file of ours, or an SSH key.

use std::path::{Path, PathBuf};

use landbridge_node::identity::KeyFile;
use landbridge_proto::trust::approval::sign_file;
use landbridge_proto::wire::approval::{Approval, KeyMethod, Proof, SignedApproval};
use landbridge_proto::wire::name::KeyId;

use super::ssh::{self, SshPublic};
use crate::cli::PassphraseArgs;
use crate::exit::{Exit, Failure, OrFail as _};
use crate::offline::identity_failure;
use crate::offline::passphrase::Passphrases;
use crate::out::Out;

/// A key that was found and has signed nothing yet. Nobody was asked for a passphrase.
#[derive(Debug)]
pub(crate) enum OperatorKeyFile {
    /// A key in a file of ours.
    File(KeyFile),
    /// An SSH key, of which only the public half was read.
    Ssh {
        /// The file that `ssh-keygen` is given.
        path: PathBuf,
        /// The public half.
        public: SshPublic,
    },
}

impl OperatorKeyFile {
    /// Finds out what a file holds.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        if let Some(public) = SshPublic::of_file(path)? {
            return Ok(Self::Ssh { path: path.to_owned(), public });
        }
        let file = KeyFile::read(path).and_then(KeyFile::of_operator);
        let file = file.map_err(|error| {
            identity_failure(&error).next(
                "landbridge operator key new FILE makes one; an SSH key of the kind ed25519 does as well",
            )
        })?;
        Ok(Self::File(file))
    }

    /// The key's id.
    pub(crate) fn kid(&self) -> KeyId {
        match self {
            Self::File(file) => file.kid().clone(),
            Self::Ssh { public, .. } => public.key.kid(),
        }
    }

    /// How it signs.
    pub(crate) const fn method(&self) -> KeyMethod {
        match self {
            Self::File(_) => KeyMethod::File,
            Self::Ssh { public, .. } => public.method(),
        }
    }

    /// Signs an approval; asks for a passphrase, or for a touch, where the key needs one.
    pub(crate) fn sign(
        &self,
        approval: &Approval,
        passphrase: &PassphraseArgs,
        out: &Out,
    ) -> Result<SignedApproval, Failure> {
        let cannot = || "the approval was not signed";
        let (path, public) = match self {
            Self::File(file) => {
                let signer = Passphrases::given(passphrase, out)?.open(file, out)?;
                return sign_file(&signer, approval).or_fail(Exit::Failed, cannot);
            }
            Self::Ssh { path, public } => (path, public),
        };
        let (payload, message) =
            SignedApproval::to_be_signed(approval).or_fail(Exit::Internal, cannot)?;
        let (kid, sig) = (public.key.kid(), ssh::sign(path, &message)?);
        let proof = match public.method() {
            KeyMethod::SshSk => Proof::SshSk { kid, sig },
            _ => Proof::Ssh { kid, sig },
        };
        Ok(SignedApproval::new(payload, proof))
    }
}
