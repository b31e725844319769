//! Transcripts: each ends with the exit code that a verifier must give.

use std::collections::BTreeMap;
use std::path::Path;

use landbridge_proto::machine::transcript;
use landbridge_proto::wire::name::GatewayId;
use serde_json::Value;

/// Each vector, by its file's name.
fn vectors() -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/transcripts");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        })
        .collect()
}

/// The transcript of a vector: its own lines, and those of the whole one that it names by number.
fn transcript_of(vector: &Value, whole: &[Value]) -> String {
    let lines = vector["lines"].as_array().unwrap().iter();
    lines
        .map(|line| match line.as_u64() {
            Some(number) => whole[usize::try_from(number).unwrap() - 1].as_str().unwrap(),
            None => line.as_str().unwrap(),
        })
        .collect()
}

#[test]
fn every_vector_ends_as_it_must() {
    let vectors = vectors();
    let whole = vectors["whole"]["lines"].as_array().unwrap();
    assert!(vectors.len() > 300, "only {} vectors", vectors.len());
    let mut wrong = Vec::new();
    for (name, vector) in &vectors {
        let pin: GatewayId = serde_json::from_value(vector["pin"].clone()).unwrap();
        let verdict = transcript::verify(transcript_of(vector, whole).as_bytes(), &pin);
        let expected = vector["exit"].as_u64().unwrap();
        if u64::from(verdict.exit_code()) != expected {
            let clause = &vector["clause"];
            wrong
                .push(format!("{name} ({clause}): expected {expected}, got {:?}", verdict.outcome));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
