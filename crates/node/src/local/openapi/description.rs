//! A description of one plane, put together from its operations.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use landbridge_proto::wire::problem::Code;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::local::problem::LocalCode;

/// What a path takes and gives.
#[derive(Clone, Debug, Default)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    id: &'static str,
    about: &'static str,
    /// What a token must be allowed to do, or `administrator`; empty where nothing is needed.
    pub(super) needs: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    codes: BTreeSet<&'static str>,
}

/// Where schemas come from: those of what is sent here, and of what is answered.
pub(super) struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12()
                .with(|settings| settings.definitions_path = "/components/schemas".into())
        };
        Self {
            taken: settings().for_deserialize().into_generator(),
            given: settings().for_serialize().into_generator(),
        }
    }

    /// Of what is sent here.
    pub(super) fn taken<T: JsonSchema>(&mut self) -> Value {
        self.taken.subschema_for::<T>().into()
    }

    /// Of what is answered.
    pub(super) fn given<T: JsonSchema>(&mut self) -> Value {
        self.given.subschema_for::<T>().into()
    }

    /// All of them. Where a type is read otherwise than written, what is read has a name of its own.
    fn all(mut self, operations: &mut Value) -> Map<String, Value> {
        let mut all = self.given.take_definitions(false);
        let mut taken = self.taken.take_definitions(false);
        let mut own: BTreeSet<String> = taken
            .iter()
            .filter(|(name, schema)| all.get(*name) != Some(schema))
            .map(name_of)
            .collect();
        // What refers to a type with two schemas has two itself.
        loop {
            let refers = |schema: &Value| own.iter().any(|name| mentions(schema, name));
            let more: BTreeSet<String> = taken
                .iter()
                .filter(|(name, schema)| !own.contains(*name) && refers(schema))
                .map(name_of)
                .collect();
            if more.is_empty() {
                break;
            }
            own.extend(more);
        }
        let both: BTreeSet<String> =
            own.into_iter().filter(|name| all.contains_key(name)).collect();
        let renamed = |mut value: Value| {
            rename(&mut value, &both);
            value
        };
        for operation in operations.as_object_mut().unwrap().values_mut() {
            for method in operation.as_object_mut().unwrap().values_mut() {
                for part in ["requestBody", "parameters"] {
                    if let Some(value) = method.get_mut(part) {
                        *value = renamed(value.take());
                    }
                }
            }
        }
        for (name, schema) in std::mem::take(&mut taken) {
            let name = if both.contains(&name) { format!("{name}Input") } else { name };
            all.insert(name, renamed(schema));
        }
        all
    }
}

fn name_of((name, _): (&String, &Value)) -> String {
    name.clone()
}

fn reference(name: &str) -> String {
    format!("#/components/schemas/{name}")
}

fn mentions(schema: &Value, name: &str) -> bool {
    match schema {
        Value::Object(members) => {
            members.get("$ref") == Some(&json!(reference(name)))
                || members.values().any(|value| mentions(value, name))
        }
        Value::Array(values) => values.iter().any(|value| mentions(value, name)),
        _ => false,
    }
}

fn rename(schema: &mut Value, names: &BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get_mut("$ref")
                && let Some(name) = target.strip_prefix("#/components/schemas/")
                && names.contains(name)
            {
                target.push_str("Input");
            }
            members.values_mut().for_each(|value| rename(value, names));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, names)),
        _ => {}
    }
}

impl Operation {
    pub(super) fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        about: &'static str,
    ) -> Self {
        Self { method, path, id, about, ..Self::default() }
    }

    pub(super) const fn needs(mut self, needs: &'static str) -> Self {
        self.needs = needs;
        self
    }

    pub(super) fn parameter(mut self, place: &str, name: &str, schema: Value, about: &str) -> Self {
        let mut parameter = json!({
            "name": name, "in": place, "required": place == "path", "schema": schema,
            "description": about,
        });
        if about.is_empty() {
            parameter.as_object_mut().unwrap().remove("description");
        }
        self.parameters.push(parameter);
        self
    }

    pub(super) fn query(self, name: &str, schema: Value, about: &str) -> Self {
        self.parameter("query", name, schema, about)
    }

    /// The body, as JSON.
    pub(super) fn takes(mut self, schema: Value) -> Self {
        self.body = Some(json!({
            "required": true, "content": {"application/json": {"schema": schema}},
        }));
        self
    }

    /// An answer: its media types and their contents.
    pub(super) fn gives(mut self, status: u16, about: &str, content: &[(&str, Value)]) -> Self {
        let mut answer = json!({"description": about});
        if !content.is_empty() {
            let content = content.iter().map(|(media, value)| ((*media).to_owned(), value.clone()));
            answer["content"] = Value::Object(content.collect());
        }
        self.answers.insert(status, answer);
        self
    }

    /// An answer as JSON.
    pub(super) fn json(self, status: u16, about: &str, schema: Value) -> Self {
        self.gives(status, about, &[("application/json", json!({"schema": schema}))])
    }

    /// A header of an answer that was named before.
    pub(super) fn header(mut self, status: u16, name: &str, about: &str) -> Self {
        let header = json!({"description": about, "schema": {"type": "string"}});
        self.answers.get_mut(&status).unwrap()["headers"][name] = header;
        self
    }

    /// Codes with which it is refused.
    pub(super) fn refuses(mut self, codes: &[&'static str]) -> Self {
        self.codes.extend(codes);
        self
    }

    pub(super) const fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Its description; refusals go to `shared`, where operations meet.
    fn description(
        &self,
        problem: &dyn Fn(&[&str]) -> Value,
        shared: &mut Map<String, Value>,
    ) -> Value {
        let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for code in &self.codes {
            by_status.entry(status_of(code)).or_default().push(code);
        }
        let mut answers = Map::new();
        for (status, answer) in &self.answers {
            answers.insert(status.to_string(), answer.clone());
        }
        for (status, about) in BEFORE_ANY_PLANE {
            answers.insert(status.to_string(), json!({"description": about}));
        }
        for (status, codes) in by_status {
            let name = codes.join(".");
            let refusal = json!({"$ref": format!("#/components/responses/{name}")});
            assert!(answers.insert(status.to_string(), refusal).is_none(), "{}: {status}", self.id);
            shared.entry(name).or_insert_with(|| refusal_of(&codes, problem(&codes)));
        }
        let mut told = json!({"operationId": self.id, "summary": self.about, "responses": answers});
        if !self.parameters.is_empty() {
            told["parameters"] = self.parameters.clone().into();
        }
        if let Some(body) = &self.body {
            told["requestBody"] = body.clone();
        }
        if !self.needs.is_empty() {
            told["description"] = match self.needs {
                "administrator" => {
                    "For the owner of the bridge's process alone, through its socket.".into()
                }
                verb => format!("A token needs the verb `{verb}`.").into(),
            };
        }
        told
    }
}

/// Answers without a body, to what no plane reads.
const BEFORE_ANY_PLANE: [(u16, &str); 2] =
    [(414, "The target is too long."), (431, "The header is too large.")];

fn refusal_of(codes: &[&str], content: Value) -> Value {
    let told = codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
    let mut refusal = json!({"description": told, "content": content});
    if codes.iter().any(|code| ["not_ready", "overloaded", "rate_limited"].contains(code)) {
        refusal["headers"]["Retry-After"] =
            json!({"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}});
    }
    refusal
}

/// The status of a code of either registry.
fn status_of(code: &str) -> u16 {
    let contract = Code::ALL.iter().find(|known| known.as_str() == code).map(|code| code.status());
    let local =
        || LocalCode::ALL.into_iter().find(|known| known.as_str() == code).map(LocalCode::status);
    contract.or_else(local).expect("a code of either registry")
}

/// A plane.
pub(super) struct Plane {
    pub(super) name: &'static str,
    pub(super) info: Value,
    pub(super) servers: Value,
    pub(super) security: Value,
    pub(super) operations: Vec<Operation>,
    pub(super) schemas: Schemas,
    /// Schemas that are there already, by name.
    pub(super) further: Map<String, Value>,
}

impl Plane {
    /// In OpenAPI 3.2.
    pub(super) fn description(self, problem: &dyn Fn(&[&str]) -> Value) -> Value {
        let (mut paths, mut refusals) = (json!({}), Map::new());
        for operation in &self.operations {
            let place = &mut paths[operation.path][operation.method];
            assert!(place.is_null(), "{} {} twice", operation.method, operation.path);
            *place = operation.description(problem, &mut refusals);
            if operation.needs.is_empty() {
                place["security"] = json!([]);
            }
        }
        let mut schemas = self.schemas.all(&mut paths);
        schemas.extend(self.further);
        let mut description = json!({
            "openapi": "3.2.0",
            "$self": format!("urn:landbridge:openapi:{}", self.name),
            "info": self.info,
            "servers": self.servers,
            "paths": paths,
            "components": {"responses": refusals, "schemas": schemas},
        });
        if let Some(scheme) = self.security.as_object() {
            description["components"]["securitySchemes"] = json!(scheme);
            let each = scheme.keys().map(|name| json!({name: []})).chain([json!({})]);
            description["security"] = each.collect();
        }
        tidy(&mut description);
        description
    }
}

/// Texts in one line each, and no reference to a schema that is not in the description.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("contentSchema").is_some_and(|schema| {
                schema["$ref"].as_str().is_some_and(|target| target.starts_with("urn:"))
            }) {
                members.remove("contentSchema");
            }
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(values) => values.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// The same in OpenAPI 3.1, which has no word for the items of a stream.
pub(super) fn derived(description: &Value) -> Value {
    fn without_items(value: &mut Value) {
        match value {
            Value::Object(members) => {
                if members.remove("itemSchema").is_some() {
                    members.insert("schema".to_owned(), json!({"type": "string"}));
                }
                members.values_mut().for_each(without_items);
            }
            Value::Array(values) => values.iter_mut().for_each(without_items),
            _ => {}
        }
    }
    let mut derived = description.clone();
    derived["openapi"] = json!("3.1.1");
    derived.as_object_mut().unwrap().remove("$self");
    without_items(&mut derived);
    derived
}

/// Compares a plane's files with its description; with `BLESS=1` it writes them.
pub(super) fn compare(name: &str, description: &Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/openapi");
    for (version, description) in [("3.2", description.clone()), ("3.1", derived(description))] {
        let file = folder.join(format!("{name}-{version}.json"));
        let text = serde_json::to_string_pretty(&description).unwrap() + "\n";
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(found == text, "spec/openapi/{name}-{version}.json: run this test with BLESS=1");
    }
}
