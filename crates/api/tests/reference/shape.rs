//! An OpenAPI description reduced to what a client depends on: operations, parameters, statuses, and the names and types in bodies.
//!
//! Each operation becomes a map from places to types. A place is `query per_page`, `body`, `body.limits.steps`, `200.result[].id`, or, of objects that come in
//! several forms, `200.result.steps[](sleep).end`. A type is `string`, `string<uuid>`, `string(asc|desc)`, `number`, and so on; `required` and `or null` follow it.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Operations by name, such as `GET /workflows`; each a map from places to types.
pub(crate) type Shape = BTreeMap<String, BTreeMap<String, String>>;

/// The place of what is around all results.
const ENVELOPES: &str = "(every answer)";
/// Words that tell the forms of one object apart.
const TAGS: [&str; 2] = ["type", "status"];

/// Reduces the operations below this prefix; it is cut off.
pub(crate) fn reduce(document: &Value, prefix: &str) -> Shape {
    let mut shape = Shape::new();
    for (path, item) in object(&document["paths"]) {
        let Some(path) = path.strip_prefix(prefix).filter(|path| !path.is_empty()) else {
            continue;
        };
        for method in ["get", "put", "post", "patch", "delete"] {
            let operation = &item[method];
            if operation.is_object() {
                let name = format!("{} {path}", method.to_uppercase());
                let (own, envelopes) = Reducer::new(document).operation(operation);
                shape.insert(name, own);
                shape.entry(ENVELOPES.into()).or_default().extend(envelopes);
            }
        }
    }
    shape
}

struct Reducer<'a> {
    document: &'a Value,
    envelopes: BTreeMap<String, String>,
    places: BTreeMap<String, String>,
    /// The schemas that are being looked at, from the outermost on.
    within: Vec<*const Value>,
}

impl<'a> Reducer<'a> {
    fn new(document: &'a Value) -> Self {
        Self {
            document,
            envelopes: BTreeMap::new(),
            places: BTreeMap::new(),
            within: Vec::new(),
        }
    }

    /// Its places, and those of the envelopes around its results.
    fn operation(mut self, operation: &'a Value) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        for parameter in list(&operation["parameters"]) {
            let place = format!("{} {}", word(&parameter["in"]), word(&parameter["name"]));
            let is_required = parameter["required"] == true;
            self.schema(&place, &parameter["schema"], is_required);
        }
        let body = &operation["requestBody"];
        for (content_type, content) in object(&body["content"]) {
            let place = match content_type.as_str() {
                "application/json" => "body".into(),
                other => format!("body as {other}"),
            };
            self.schema(&place, &content["schema"], body["required"] == true);
        }
        for (status, response) in object(&operation["responses"]) {
            let response = self.resolved(response);
            self.places.insert(status.clone(), "answer".into());
            for (content_type, content) in object(&response["content"]) {
                let schema = self.resolved(&content["schema"]);
                match content_type.as_str() {
                    "application/json" if schema["properties"]["result"].is_object() => {
                        self.envelope(status, schema);
                    }
                    "application/json" => self.schema(status, schema, false),
                    other => self.schema(&format!("{status} as {other}"), schema, false),
                }
            }
        }
        (self.places, self.envelopes)
    }

    /// The result is the operation's own; what is around it is the same everywhere. Failures have no result.
    fn envelope(&mut self, status: &str, schema: &'a Value) {
        let is_failure = status.starts_with(['4', '5']);
        let kind = if is_failure { "failure" } else { "success" };
        self.places.insert(status.into(), kind.into());
        let mut own = std::mem::take(&mut self.places);
        self.properties(kind, schema);
        let all = std::mem::take(&mut self.places);
        for (place, text) in all {
            match place
                .strip_prefix("success.result")
                .filter(|rest| rest.is_empty() || rest.starts_with(['.', '[', '(']))
            {
                Some(rest) => own.insert(format!("{status}.result{rest}"), text),
                None => self.envelopes.insert(place, text),
            };
        }
        self.places = own;
    }

    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let Some(reference) = schema["$ref"].as_str() else {
            return schema;
        };
        let pointer = reference.trim_start_matches('#');
        let found = self.document.pointer(pointer);
        self.resolved(found.unwrap_or_else(|| panic!("{reference} leads nowhere")))
    }

    /// The forms that a value may have, null aside, and whether it may be null.
    fn forms(&self, schema: &'a Value) -> (Vec<&'a Value>, bool) {
        let schema = self.resolved(schema);
        let mut may_be_null = schema["nullable"] == true;
        let choices = ["oneOf", "anyOf"].iter().flat_map(|key| list(&schema[*key]));
        let mut forms = Vec::new();
        for choice in choices {
            let (inner, null) = self.forms(choice);
            may_be_null |= null;
            forms.extend(inner);
        }
        if forms.is_empty() && !may_be_null
            || schema.get("type").is_some()
            || schema.get("properties").is_some()
        {
            forms.push(schema);
        }
        may_be_null |= types(schema).contains(&"null");
        forms.retain(|form| types(form) != ["null"]);
        (forms, may_be_null)
    }

    fn schema(&mut self, place: &str, schema: &'a Value, is_required: bool) {
        let (forms, may_be_null) = self.forms(schema);
        let mut names: Vec<String> = forms.iter().map(|form| name(form)).collect();
        names.sort();
        names.dedup();
        if may_be_null {
            names.push("null".into());
        }
        let mut text = names.join(" or ");
        if is_required {
            text.push_str(", required");
        }
        self.places.insert(place.into(), text);
        let itself: *const Value = self.resolved(schema);
        if self.within.contains(&itself) {
            return;
        }
        self.within.push(itself);
        let objects = forms.iter().filter(|form| form["properties"].is_object()).count();
        for form in forms {
            if form["items"].is_object() {
                self.schema(&format!("{place}[]"), &form["items"], false);
            }
            for tag in tags(form, objects) {
                self.properties(&format!("{place}{tag}"), form);
                if !tag.is_empty() {
                    // The place says it already.
                    TAGS.iter()
                        .for_each(|name| drop(self.places.remove(&format!("{place}{tag}.{name}"))));
                }
            }
        }
        self.within.pop();
    }

    fn properties(&mut self, place: &str, form: &'a Value) {
        let required: Vec<&str> = list(&form["required"]).filter_map(Value::as_str).collect();
        for (property, schema) in object(&form["properties"]) {
            let is_required = required.contains(&property.as_str());
            self.schema(&format!("{place}.{property}"), schema, is_required);
        }
    }
}

/// What tells this form from the others: one for each word of its tag; nothing when there is one form.
fn tags(form: &Value, objects: usize) -> Vec<String> {
    let words = |tag: &str| Some(&form["properties"][tag]["enum"]).filter(|words| words.is_array());
    let [kind, status] = TAGS;
    let is_told = list(&form["required"]).any(|name| name == kind);
    match words(kind)
        .filter(|_| is_told)
        .or_else(|| words(status).filter(|_| objects > 1))
    {
        Some(words) => list(words)
            .map(|word| format!("({})", self::word(word)))
            .collect(),
        None => vec![String::new()],
    }
}

fn name(form: &Value) -> String {
    let types: Vec<&str> = types(form).into_iter().filter(|name| *name != "null").collect();
    let mut name = match types.as_slice() {
        [] => "anything".to_owned(),
        types => types.join(" or "),
    };
    let words: Vec<String> = list(&form["enum"])
        .filter(|word| !word.is_null())
        .map(|word| self::word(word).to_owned())
        .collect();
    if !words.is_empty() {
        let mut words = words;
        words.sort();
        name = format!("{name}({})", words.join("|"));
    }
    // What is said of the sizes of numbers is no type.
    let sizes = ["int32", "int64", "float", "double"];
    if let Some(format) = form["format"].as_str().filter(|format| !sizes.contains(format)) {
        name = format!("{name}<{format}>");
    }
    name
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn word(value: &Value) -> &str {
    match value {
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        value => value.as_str().unwrap_or_else(|| panic!("{value} is no word")),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
