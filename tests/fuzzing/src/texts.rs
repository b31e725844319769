//! Short texts: what people paste, and what stands inside documents.

use std::collections::BTreeSet;

use landbridge_proto::trust::key::PublicKey;
use landbridge_proto::trust::pairing::Invite;
use landbridge_proto::wire::digest::Digest;
use landbridge_proto::wire::document::EndpointUrl;
use landbridge_proto::wire::name::{
    AgentName, Alias, GatewayId, IdempotencyKey, Jti, KeyId, RunId, SessionHandle, TenantId,
    ToolName,
};
use landbridge_proto::wire::tool_args::ToolArgs;

pub(crate) fn invite(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(invite) = Invite::parse(text) else { return };
    let again = invite.to_text().unwrap();
    // A mail may have broken the line.
    let bare: String = text.chars().filter(|one| !one.is_ascii_whitespace()).collect();
    assert_eq!(*again, bare, "one spelling");
    assert_eq!(Invite::parse(&again).unwrap().id(), invite.id());
    assert!(!format!("{invite:?}").contains(&again[5..]), "the secret is not printed");
}

pub(crate) fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    macro_rules! each {
        ($($name:ty),*) => {$(
            if let Ok(name) = <$name>::new(text) {
                assert_eq!(name.as_str(), text);
                assert!(text.is_ascii() && !text.is_empty() && text.len() <= 256);
                assert!(!text.bytes().any(|byte| byte <= b' ' || byte == 0x7f));
            }
        )*};
    }
    each!(
        AgentName,
        Alias,
        GatewayId,
        IdempotencyKey,
        Jti,
        KeyId,
        RunId,
        SessionHandle,
        TenantId,
        ToolName
    );
    if let Ok(key) = PublicKey::try_from(text.to_owned()) {
        assert_eq!(key.to_string(), text);
        assert_eq!(PublicKey::admit(key.as_bytes()).as_ref(), Ok(&key));
    }
    if let Ok(digest) = serde_json::from_value::<Digest>(text.into()) {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(url) = EndpointUrl::new(text) {
        assert_eq!(url.as_str(), text);
        assert!(text.is_ascii() && url.port() > 0 && !url.host().is_empty());
        assert!(!url.host().contains(['@', '/', '?', '#', '\\', '%']), "{text}");
    }
}

pub(crate) fn tool_args(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(args) = ToolArgs::new(text) else { return };
    assert_eq!(args.as_str(), text, "handed on unchanged");
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    let members = value.as_object().expect("one object");
    let names: BTreeSet<&String> = members.keys().collect();
    assert_eq!(names.len(), members.len());
}
