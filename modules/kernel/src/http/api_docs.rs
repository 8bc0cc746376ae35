//! The OpenAPI document as a page that needs no network. The model of template `kernel/api-docs` is [`Docs`].

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::Value;

use super::Ctx;
use crate::error::Result;

#[derive(Serialize)]
struct Docs {
    version: String,
    openapi_url: &'static str,
    operation_count: usize,
    groups: Vec<Group>,
    schemas: Vec<SchemaModel>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    operations: Vec<Operation>,
}

#[derive(Serialize)]
struct Operation {
    /// Unique in the page.
    id: String,
    /// `get`.
    method: String,
    path: String,
    summary: String,
    /// `None`: open to everybody.
    permission: Option<String>,
    parameters: Vec<Parameter>,
    body: Option<TypeModel>,
    responses: Vec<ResponseModel>,
}

#[derive(Serialize)]
struct Parameter {
    name: String,
    location: String,
    required: bool,
    description: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize)]
struct ResponseModel {
    status: String,
    description: String,
    schema: Option<String>,
}

#[derive(Serialize)]
struct SchemaModel {
    id: String,
    name: String,
    description: String,
    /// Empty for anything but an object.
    fields: Vec<Field>,
}

#[derive(Serialize)]
struct Field {
    name: String,
    required: bool,
    description: String,
    #[serde(flatten)]
    kind: TypeModel,
}

/// A type in words, and the schema that it leads to.
#[derive(Serialize)]
struct TypeModel {
    #[serde(rename = "type")]
    text: String,
    schema: Option<String>,
}

pub(super) async fn page(ctx: Ctx) -> Result<HttpResponse> {
    let document: Value = serde_json::from_str(ctx.app().openapi())?;
    ctx.page("kernel/api-docs", &docs(&document))
}

fn docs(document: &Value) -> Docs {
    let mut groups: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            let tag = string(&operation["tags"][0]);
            groups.entry(tag).or_default().push(describe(path, method, operation));
        }
    }
    let groups: Vec<Group> = groups.into_iter().map(|(name, operations)| Group { name, operations }).collect();
    let schemas = members(&document["components"]["schemas"]);
    Docs {
        version: string(&document["info"]["version"]),
        openapi_url: "/api/openapi.json",
        operation_count: groups.iter().map(|group| group.operations.len()).sum(),
        groups,
        schemas: schemas.map(|(name, schema)| describe_schema(name, schema)).collect(),
    }
}

fn describe(path: &str, method: &str, operation: &Value) -> Operation {
    let public = operation["security"].as_array().is_some_and(Vec::is_empty);
    let permission = operation["x-permission"].as_str().unwrap_or("signed-in").to_owned();
    let parameter = |parameter: &Value| Parameter {
        name: string(&parameter["name"]),
        location: string(&parameter["in"]),
        required: parameter["required"] == true,
        description: string(&parameter["description"]),
        kind: type_of(&parameter["schema"]).text,
    };
    let response = |(status, response): (&str, &Value)| ResponseModel {
        status: status.to_owned(),
        description: string(&response["description"]),
        schema: content_type_of(response).and_then(|body| body.schema),
    };
    Operation {
        id: string(&operation["operationId"]),
        method: method.to_owned(),
        path: path.to_owned(),
        summary: string(&operation["summary"]),
        permission: Some(permission).filter(|_| !public),
        parameters: operation["parameters"].as_array().into_iter().flatten().map(parameter).collect(),
        body: content_type_of(&operation["requestBody"]),
        // The rest are problems, all of one form.
        responses: members(&operation["responses"]).filter(|(status, _)| *status != "default").map(response).collect(),
    }
}

fn describe_schema(name: &str, schema: &Value) -> SchemaModel {
    let required = schema["required"].as_array();
    let fields: Vec<Field> = members(&schema["properties"])
        .map(|(name, property)| Field {
            name: name.to_owned(),
            required: required.is_some_and(|required| required.iter().any(|known| known == name)),
            description: string(&property["description"]),
            kind: type_of(property),
        })
        .collect();
    let mut description = string(&schema["description"]);
    if fields.is_empty() {
        description = format!("{description} ({})", type_of(schema).text);
    }
    SchemaModel { id: name.to_owned(), name: name.to_owned(), description, fields }
}

fn content_type_of(holder: &Value) -> Option<TypeModel> {
    members(&holder["content"]).next().map(|(_, media)| type_of(&media["schema"]))
}

/// `string · date-time`, `Bed[]`, `"open" | "closed"`, `integer | null`.
fn type_of(schema: &Value) -> TypeModel {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return TypeModel { text: name.to_owned(), schema: Some(name.to_owned()) };
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(options) = schema[key].as_array() {
            let parts: Vec<TypeModel> = options.iter().map(type_of).collect();
            let text = parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(" | ");
            return TypeModel { text, schema: parts.into_iter().find_map(|part| part.schema) };
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let text = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
        return TypeModel { text, schema: None };
    }
    if let Some(value) = schema.get("const") {
        return TypeModel { text: value.to_string(), schema: None };
    }
    if schema["type"] == "array" {
        let item = type_of(&schema["items"]);
        return TypeModel { text: format!("{}[]", item.text), schema: item.schema };
    }
    let mut text = match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | "),
        _ => "any".to_owned(),
    };
    if let Some(format) = schema["format"].as_str() {
        text = format!("{text} · {format}");
    }
    TypeModel { text, schema: None }
}

fn members(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    object.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_are_told_in_words() {
        for (schema, text) in [
            (json!({ "type": "string", "format": "date-time" }), "string · date-time"),
            (json!({ "type": "array", "items": { "$ref": "#/components/schemas/Bed" } }), "Bed[]"),
            (json!({ "enum": ["open", "closed"] }), "\"open\" | \"closed\""),
            (json!({ "anyOf": [{ "$ref": "#/components/schemas/Bed" }, { "type": "null" }] }), "Bed | null"),
            (json!({ "type": ["integer", "null"] }), "integer | null"),
            (json!(true), "any"),
        ] {
            assert_eq!(type_of(&schema).text, text);
        }
    }
}
