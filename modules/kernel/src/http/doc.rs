//! What the OpenAPI document says of a route.

use actix_web::http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator};

pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a route answers when all goes well.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) media_type: &'static str,
    /// `None`: no body.
    pub(super) schema: Option<SchemaOf>,
}

/// Summary, query, body and answer of an API route: `ApiDoc::new("List residents").query::<Q>().returns::<R>()`.
#[derive(Clone, Copy)]
pub struct ApiDoc {
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) query: Option<SchemaOf>,
    pub(super) body: Option<SchemaOf>,
    pub(super) answer: Answer,
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The properties themselves, not a reference: each becomes a parameter.
fn inline_schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

impl ApiDoc {
    /// Without further words: 204 and no body.
    pub const fn new(summary: &'static str) -> Self {
        let answer = Answer { status: StatusCode::NO_CONTENT, media_type: "application/json", schema: None };
        Self { summary, description: "", query: None, body: None, answer }
    }

    /// What the summary does not say; CommonMark.
    #[must_use]
    pub const fn description(mut self, text: &'static str) -> Self {
        self.description = text;
        self
    }

    /// A struct whose fields are the query parameters.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(inline_schema::<T>);
        self
    }

    #[must_use]
    pub fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(schema::<T>);
        self
    }

    /// 200 with this body.
    #[must_use]
    pub fn returns<T: JsonSchema>(mut self) -> Self {
        self.answer = Answer { status: StatusCode::OK, media_type: "application/json", schema: Some(schema::<T>) };
        self
    }

    /// 201 with this body.
    #[must_use]
    pub fn creates<T: JsonSchema>(mut self) -> Self {
        self.answer = Answer { status: StatusCode::CREATED, media_type: "application/json", schema: Some(schema::<T>) };
        self
    }

    /// 200, a stream of server-sent events whose data is this.
    #[must_use]
    pub fn streams<T: JsonSchema>(mut self) -> Self {
        self.answer = Answer { status: StatusCode::OK, media_type: "text/event-stream", schema: Some(schema::<T>) };
        self
    }
}
