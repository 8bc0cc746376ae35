//! The OpenAPI 3.1 document, made from the route table.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::error_response::Problem;
use super::{Access, ApiDoc, Route, RouteTable};
use crate::identity::Permissions;

const PROBLEM: &str = "application/problem+json";

/// The document of all routes that carry an [`ApiDoc`].
pub(super) fn document(routes: &RouteTable, permissions: &Permissions) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes.iter() {
        if let Some(doc) = &route.doc {
            let operation = operation(route, doc, permissions, &mut generator);
            let path = paths.entry(route.path).or_insert_with(|| json!({}));
            path[route.method.as_str().to_ascii_lowercase()] = operation;
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Songhe",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Ids are strings with a prefix. Times are RFC 3339, UTC. Lists are paged by cursor: pass \
                `next` of an answer as `after` of the next request. A POST with an `Idempotency-Key` may be repeated \
                safely for seven days.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "The token of `POST /api/v1/session`, or one of `POST /api/v1/account/tokens`." },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": super::visitor::SESSION_COOKIE,
                    "description": "A browser's session; what changes state needs its token in `X-CSRF-Token` as well.",
                },
            },
            "responses": {
                "Problem": {
                    "description": "The request was refused (RFC 9457)",
                    "content": { PROBLEM: { "schema": problem } },
                },
            },
        },
    })
}

fn operation(route: &Route, doc: &ApiDoc, permissions: &Permissions, generator: &mut SchemaGenerator) -> Value {
    let mut parameters = path_parameters(route.path);
    if let Some(query) = doc.query {
        parameters.extend(query_parameters(query(generator).as_value()));
    }
    if route.method == actix_web::http::Method::POST && route.access != Access::Public {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "schema": { "type": "string", "minLength": 1, "maxLength": 128 },
            "description": "Repeated with the same body, the work is done once and the same answer given; with another \
                body it is a conflict (409).",
        }));
    }
    let mut answer = json!({ "description": doc.answer.status.canonical_reason().unwrap_or_default() });
    if let Some(schema) = doc.answer.schema {
        answer["content"] = json!({ doc.answer.media_type: { "schema": schema(generator) } });
    }
    let mut operation = json!({
        "operationId": operation_id(route),
        "tags": [tag(route.path)],
        "summary": doc.summary,
        "description": description(route.access, doc, permissions),
        "parameters": parameters,
        "responses": {
            doc.answer.status.as_str(): answer,
            "default": { "$ref": "#/components/responses/Problem" },
        },
    });
    if let Some(body) = doc.body {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": body(generator) } } });
    }
    match route.access {
        Access::Public => operation["security"] = json!([]),
        Access::SignedIn => {}
        Access::Permission(name) => operation["x-permission"] = name.into(),
    }
    operation
}

fn description(access: Access, doc: &ApiDoc, permissions: &Permissions) -> String {
    let rule = match access {
        Access::Public => "Open to everybody.".to_owned(),
        Access::SignedIn => "For everybody who is signed in.".to_owned(),
        Access::Permission(name) => {
            let roles: Vec<_> = permissions.roles(name).iter().map(|role| role.as_str()).collect();
            format!("Needs the permission `{name}` (by default: {}).", roles.join(", "))
        }
    };
    if doc.description.is_empty() { rule } else { format!("{}\n\n{rule}", doc.description) }
}

fn path_parameters(path: &str) -> Vec<Value> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect()
}

/// Each property of the query's schema becomes a parameter.
fn query_parameters(schema: &Value) -> Vec<Value> {
    let required = schema.get("required").and_then(Value::as_array);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
    properties
        .iter()
        .map(|(name, property)| {
            let mut property = property.clone();
            let description = property.as_object_mut().and_then(|fields| fields.remove("description"));
            json!({
                "name": name, "in": "query", "schema": property,
                "required": required.is_some_and(|required| required.iter().any(|known| known == name)),
                "description": description.unwrap_or_else(|| "".into()),
            })
        })
        .collect()
}

/// The first segment behind `/api/v1`.
fn tag(path: &str) -> &str {
    path.split('/').filter(|segment| !segment.is_empty()).nth(2).unwrap_or("server")
}

/// `post_incidents_id_acknowledge`.
fn operation_id(route: &Route) -> String {
    let words = route.path.trim_start_matches("/api/v1").replace(['/', '-', '.'], "_").replace(['{', '}'], "");
    format!("{}{words}", route.method.as_str().to_ascii_lowercase())
}
