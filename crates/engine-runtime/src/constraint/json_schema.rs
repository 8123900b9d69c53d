//! A JSON Schema on its way to the grammar library, which refuses keywords that it can't enforce.
//!
//! What it would take and not enforce as a whole is refused or made exact here.

use serde_json::{Map, Value, json};

/// Where the library reads options of its own, some of which make it lenient.
const OPTIONS: &str = "x-guidance";
/// Between two parts of a JSON text: nothing, a space, or a line break with indentation. More is
/// legal, and would let a model write white space without end.
const WHITESPACE: &str = r"(?:\x20|\x0A[\x20]{0,32}|\x0A[\x09]{0,16})";

/// The drafts whose keywords are known, in the form of `$schema`.
const DRAFTS: [&str; 5] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-06/schema",
    "http://json-schema.org/draft-04/schema",
];

/// Schemas by name, a schema, a list of schemas.
const BY_NAME: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];
const SINGLE: [&str; 3] = ["additionalProperties", "additionalItems", "items"];
const LISTS: [&str; 5] = ["prefixItems", "items", "anyOf", "oneOf", "allOf"];

/// The schema in the form that the library takes.
///
/// # Errors
/// What can't be enforced, and where.
pub(super) fn prepare(schema: &Value) -> Result<Value, String> {
    let mut schema = match schema {
        Value::Bool(true) => json!({}),
        other => other.clone(),
    };
    if !schema.is_object() {
        return Err(format!("a schema must be an object or true, not {schema}"));
    }
    check(&mut schema, "#")?;
    if let Some(schema) = schema.as_object_mut() {
        let options = json!({ "whitespace_pattern": WHITESPACE });
        schema.insert(OPTIONS.to_owned(), options);
    }
    Ok(schema)
}

/// Checks a schema and all within it. Values that stand for themselves (`enum`, `const`, `default`)
/// are not looked into.
fn check(schema: &mut Value, place: &str) -> Result<(), String> {
    let Some(schema) = schema.as_object_mut() else {
        return Ok(());
    };
    if schema.contains_key(OPTIONS) {
        return Err(format!(
            "{place} holds {OPTIONS}, which is not for schemas to set"
        ));
    }
    if place != "#"
        && schema
            .get("$id")
            .or_else(|| schema.get("id"))
            .is_some_and(Value::is_string)
    {
        return Err(format!(
            "{place} has an $id of its own; only the whole schema can have one"
        ));
    }
    if let Some(draft) = schema.get("$schema") {
        let known = |draft: &str| DRAFTS.contains(&draft.trim_end_matches('#'));
        if !draft.as_str().is_some_and(known) {
            return Err(format!(
                "{place}/$schema is {draft}, which is no known draft"
            ));
        }
    }
    check_least_properties(schema, place)?;
    make_dates_exact(schema);
    for key in BY_NAME {
        if let Some(Value::Object(schemas)) = schema.get_mut(key) {
            for (name, inner) in schemas {
                check(inner, &format!("{place}/{key}/{name}"))?;
            }
        }
    }
    for key in SINGLE {
        if let Some(inner) = schema.get_mut(key) {
            check(inner, &format!("{place}/{key}"))?;
        }
    }
    for key in LISTS {
        if let Some(Value::Array(schemas)) = schema.get_mut(key) {
            for (index, inner) in schemas.iter_mut().enumerate() {
                check(inner, &format!("{place}/{key}/{index}"))?;
            }
        }
    }
    Ok(())
}

/// Nothing keeps a model from giving two properties that a schema does not name the same name, which
/// makes one of them.
fn check_least_properties(schema: &Map<String, Value>, place: &str) -> Result<(), String> {
    let Some(least) = schema.get("minProperties").and_then(Value::as_u64) else {
        return Ok(());
    };
    let required = schema.get("required").and_then(Value::as_array);
    let required = required.map_or(0, Vec::len) as u64;
    let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false))
        && !schema.contains_key("patternProperties");
    if is_closed || least <= required.max(1) {
        return Ok(());
    }
    Err(format!(
        "{place}/minProperties asks for {least} properties and {place}/required names {required}; the \
         others could get the same name"
    ))
}

/// The library's own patterns let 29 February be in any year, and a minute have 61 seconds.
fn make_dates_exact(schema: &mut Map<String, Value>) {
    const DATE: &str = "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])\
        |(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))\
        |(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
    const TIME: &str = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
    let pattern = match schema.get("format").and_then(Value::as_str) {
        Some("date") => format!("^{DATE}$"),
        Some("time") => format!("^{TIME}$"),
        Some("date-time") => format!("^{DATE}T{TIME}$"),
        _ => return,
    };
    schema.remove("format");
    if !schema.contains_key("pattern") {
        schema.insert("pattern".to_owned(), pattern.into());
        return;
    }
    let more = json!({ "pattern": pattern });
    // One that is no list is malformed, which the library will say.
    if let Value::Array(all) = schema.entry("allOf").or_insert_with(|| json!([])) {
        all.push(more);
    }
}
