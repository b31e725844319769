//! What an operator decides: the question as it is shown, and the key that signs the answer.

pub(crate) mod operator_key;
pub(crate) mod question;
pub(crate) mod ssh;
pub(crate) mod visible;
