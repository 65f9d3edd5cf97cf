//! Operations and schemas, put together: what every operation has in common is said here once.

use crate::{ApiError, ErrorMessage, ResultInfo};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ArrayBuilder, ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, KnownFormat, ObjectBuilder,
    OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
    SchemaFormat, SecurityRequirement, ServerBuilder, Type,
};
use utoipa::{PartialSchema, ToSchema};

/// Where accounts begin.
pub(super) const ACCOUNT: &str = "/client/v4/accounts/{account_id}";
/// Name of the schema of failures.
const FAILURE: &str = "Failure";
/// What can go wrong everywhere.
const EVERYWHERE: [ApiError; 8] = [
    ApiError::Body,
    ApiError::Authentication,
    ApiError::NotAllowed,
    ApiError::ForeignOrigin,
    ApiError::TooManyFailures,
    ApiError::NoRoute,
    ApiError::Internal,
    ApiError::Unavailable,
];

/// What can go wrong with a body.
const WITH_BODY: [ApiError; 3] = [
    ApiError::BodyTooLarge,
    ApiError::BodyTimeout,
    ApiError::Overloaded,
];

/// What is said of cairn so far.
#[derive(Default)]
pub(super) struct Document {
    paths: PathsBuilder,
    schemas: Vec<(String, RefOr<Schema>)>,
}

/// Whether a body must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Needed,
    MayBeAbsent,
}

/// One operation, while it is described.
pub(super) struct Operation {
    method: HttpMethod,
    path: String,
    builder: OperationBuilder,
    errors: Vec<ApiError>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

/// A reference to the schema of a type.
pub(super) fn reference<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

/// One of several words.
pub(super) fn one_of(words: &[&str]) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words.iter().copied()))
        .into()
}

/// A whole number, from a least one on.
pub(super) fn number(minimum: i64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(minimum))
}

/// Any text.
pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A point in time.
pub(super) fn moment() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

impl Operation {
    /// An operation below an account: its id, and what it does.
    pub(super) fn of_account(method: HttpMethod, path: &str, (id, does): (&str, &str)) -> Self {
        let mut operation = Self::new(method, format!("{ACCOUNT}{path}"), (id, does));
        operation.errors.extend(EVERYWHERE);
        operation = operation.path("account_id", text().min_length(Some(1)).into());
        if path.contains("{workflow_name}") {
            operation = operation.path_word::<super::words::WorkflowName>("workflow_name");
        }
        if path.contains("{instance_id}") {
            operation = operation.path_word::<super::words::AddressableId>("instance_id");
        }
        operation
    }

    /// An operation beside accounts.
    pub(super) fn of_server(method: HttpMethod, path: &str, id_and_does: (&str, &str)) -> Self {
        let mut operation = Self::new(method, path.into(), id_and_does);
        operation.errors.extend(EVERYWHERE);
        operation
    }

    /// An operation that needs no token.
    pub(super) fn public(method: HttpMethod, path: &str, (id, does): (&str, &str)) -> Self {
        let mut operation = Self::new(method, path.into(), (id, does));
        let none: [SecurityRequirement; 0] = [];
        operation.builder = operation.builder.securities(Some(none));
        operation
    }

    fn new(method: HttpMethod, path: String, (id, does): (&str, &str)) -> Self {
        Self {
            method,
            path,
            builder: OperationBuilder::new().operation_id(Some(id)).summary(Some(does)),
            errors: Vec::new(),
            schemas: Vec::new(),
        }
    }

    /// What belongs together in the description.
    pub(super) fn tag(mut self, tag: &str) -> Self {
        self.builder = self.builder.tag(tag);
        self
    }

    /// More about it.
    pub(super) fn about(mut self, text: &str) -> Self {
        self.builder = self.builder.description(Some(text));
        self
    }

    fn know<T: ToSchema>(&mut self) -> RefOr<Schema> {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        reference::<T>()
    }

    /// A part of the path.
    pub(super) fn path(mut self, name: &str, schema: RefOr<Schema>) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(schema));
        self.builder = self.builder.parameter(parameter);
        self
    }

    /// A part of the path that has a form of its own.
    pub(super) fn path_word<T: ToSchema>(mut self, name: &str) -> Self {
        let schema = self.know::<T>();
        self.path(name, schema)
    }

    /// A parameter that may be absent.
    pub(super) fn query(mut self, name: &str, schema: impl Into<RefOr<Schema>>, about: &str) -> Self {
        self.builder = self.builder.parameter(query(name, schema.into(), about));
        self
    }

    /// A parameter with a form of its own that may be absent.
    pub(super) fn query_word<T: ToSchema>(mut self, name: &str, about: &str) -> Self {
        let schema = self.know::<T>();
        self.query(name, schema, about)
    }

    /// A parameter that must be there.
    pub(super) fn needed_query(mut self, name: &str, schema: impl Into<RefOr<Schema>>, about: &str) -> Self {
        let parameter = query(name, schema.into(), about).required(Required::True);
        self.builder = self.builder.parameter(parameter);
        self
    }

    /// `page` and `per_page`
    pub(super) fn offset_pages(self, default: u64) -> Self {
        self.query(
            "page",
            number(1),
            "Which page, from 1; those past the end are empty.",
        )
        .per_page(default)
    }

    /// `per_page`
    pub(super) fn per_page(self, default: u64) -> Self {
        let schema = number(1)
            .maximum(Some(i64::try_from(crate::PER_PAGE_MAX).unwrap_or(i64::MAX)))
            .default(Some(default.into()));
        self.query("per_page", schema, "Elements of a page.")
    }

    /// A JSON body.
    pub(super) fn body<T: ToSchema>(mut self, body: Body) -> Self {
        let schema = self.know::<T>();
        self.any_body(body, schema)
    }

    /// A body that is a list with 1 to 100 elements.
    pub(super) fn list_body<T: ToSchema>(mut self, least: usize, most: Option<usize>) -> Self {
        let items = self.know::<T>();
        let schema = ArrayBuilder::new()
            .items(items)
            .min_items(Some(least))
            .max_items(most);
        self.any_body(Body::Needed, schema.into())
    }

    /// A JSON body of this form.
    pub(super) fn any_body(mut self, body: Body, schema: RefOr<Schema>) -> Self {
        let required = match body {
            Body::Needed => Required::True,
            Body::MayBeAbsent => Required::False,
        };
        let body = RequestBodyBuilder::new().required(Some(required)).content(
            "application/json",
            ContentBuilder::new().schema(Some(schema)).build(),
        );
        self.builder = self.builder.request_body(Some(body.build()));
        self.errors.extend(WITH_BODY);
        self
    }

    /// What else can go wrong.
    pub(super) fn fails(mut self, errors: &[ApiError]) -> Self {
        self.errors.extend(errors);
        self
    }

    /// The result, in its envelope.
    pub(super) fn gives<T: ToSchema>(mut self) -> Self {
        let result = self.know::<T>();
        self.answers(envelope(result).into())
    }

    /// The result in its envelope, or raw bytes.
    pub(super) fn gives_or_streams<T: ToSchema>(mut self) -> Self {
        let result = self.know::<T>();
        let content = ContentBuilder::new().schema(Some(envelope(result))).build();
        let bytes = ContentBuilder::new()
            .schema(Some(utoipa::openapi::schema::empty()))
            .build();
        let response = ResponseBuilder::new()
            .description("Done: the result, or the bytes of a stream as they are.")
            .content("application/json", content)
            .content("application/octet-stream", bytes);
        self.response(200, response)
    }

    /// A list as the result.
    pub(super) fn lists<T: ToSchema>(mut self) -> Self {
        let items = self.know::<T>();
        self.answers(envelope(ArrayBuilder::new().items(items).into()).into())
    }

    /// A page of a list as the result.
    pub(super) fn pages<T: ToSchema>(mut self) -> Self {
        let items = self.know::<T>();
        let info = self.know::<ResultInfo>();
        let envelope = envelope(ArrayBuilder::new().items(items).into())
            .property("result_info", info)
            .required("result_info");
        self.answers(envelope.into())
    }

    fn answers(self, schema: RefOr<Schema>) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new()
            .description("Done.")
            .content("application/json", content);
        self.response(200, response)
    }

    /// An answer of another form.
    pub(super) fn response(mut self, status: u16, response: ResponseBuilder) -> Self {
        self.builder = self.builder.response(status.to_string(), response.build());
        self
    }

    fn failures(mut self) -> Self {
        for (status, lines) in by_status(&std::mem::take(&mut self.errors)) {
            let is_common = common().get(&status) == Some(&lines);
            let responses = self.builder;
            self.builder = if is_common {
                responses.response(status.to_string(), Ref::from_response_name(common_name(status)))
            } else {
                responses.response(status.to_string(), not_done(&lines))
            };
        }
        self
    }
}

/// Numbers and names of errors, by HTTP status.
fn by_status(errors: &[ApiError]) -> BTreeMap<u16, BTreeSet<String>> {
    let mut by_status: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    for error in errors {
        let line = format!(
            "`{}` {}",
            error.code(),
            error.name().unwrap_or("(its explanation)")
        );
        by_status.entry(error.status()).or_default().insert(line);
    }
    by_status
}

/// What many operations have in common is said once.
fn common() -> BTreeMap<u16, BTreeSet<String>> {
    let mut common = EVERYWHERE.to_vec();
    common.extend(WITH_BODY);
    by_status(&common)
}

fn common_name(status: u16) -> String {
    format!("NotDone{status}")
}

fn not_done(lines: &BTreeSet<String>) -> Response {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(FAILURE)))
        .build();
    ResponseBuilder::new()
        .description(format!("Not done: {}.", lines.join(", ")))
        .content("application/json", content)
        .build()
}

fn query(name: &str, schema: RefOr<Schema>, about: &str) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(schema))
}

/// The envelope of a request that was done.
fn envelope(result: RefOr<Schema>) -> ObjectBuilder {
    let nothing = || {
        ArrayBuilder::new()
            .items(reference::<ErrorMessage>())
            .max_items(Some(0))
    };
    ObjectBuilder::new()
        .property(
            "success",
            ObjectBuilder::new()
                .schema_type(Type::Boolean)
                .enum_values(Some([true])),
        )
        .required("success")
        .property("errors", nothing())
        .required("errors")
        .property("messages", nothing())
        .required("messages")
        .property("result", result)
        .required("result")
}

/// The envelope of a request that was not done.
fn failure() -> RefOr<Schema> {
    let errors = ArrayBuilder::new()
        .items(reference::<ErrorMessage>())
        .min_items(Some(1));
    let messages = ArrayBuilder::new().items(text()).description(Some(
        "What happened, what was expected and what to do, for the reader.",
    ));
    ObjectBuilder::new()
        .description(Some("The envelope of a request that was not done."))
        .property(
            "success",
            ObjectBuilder::new()
                .schema_type(Type::Boolean)
                .enum_values(Some([false])),
        )
        .required("success")
        .property("errors", errors)
        .required("errors")
        .property("messages", messages)
        .required("messages")
        .property("result", ObjectBuilder::new().schema_type(Type::Null))
        .required("result")
        .into()
}

impl Document {
    /// Takes an operation in.
    pub(super) fn add(&mut self, operation: Operation) {
        let operation = operation.failures();
        let Operation {
            method,
            path,
            builder,
            schemas,
            ..
        } = operation;
        self.schemas.extend(schemas);
        let paths = std::mem::take(&mut self.paths);
        self.paths = paths.path(path, PathItem::new(method, builder));
    }

    /// The whole description.
    pub(super) fn finish(self) -> OpenApi {
        let info = InfoBuilder::new()
            .title("Cairn")
            .version(env!("CARGO_PKG_VERSION"))
            .description(Some(
                "Durable workflows. What is below `/client/v4` is Cloudflare's API: docs/api.md says where cairn differs.",
            ));
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API token."))
            .build();
        let header = |name: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(name)));
        let common = common()
            .into_iter()
            .map(|(status, lines)| (common_name(status), not_done(&lines)));
        let components = ComponentsBuilder::new()
            .responses_from_iter(common)
            .schemas_from_iter(self.schemas)
            .schema(ErrorMessage::name(), ErrorMessage::schema())
            .schema(FAILURE, failure())
            .security_scheme("token", SecurityScheme::Http(bearer))
            .security_scheme("email", header("X-Auth-Email"))
            .security_scheme("key", header("X-Auth-Key"));
        let nothing: [&str; 0] = [];
        let email_and_key = SecurityRequirement::new("email", nothing).add("key", nothing);
        OpenApiBuilder::new()
            .info(info)
            .servers(Some([ServerBuilder::new().url("/").build()]))
            .paths(self.paths)
            .components(Some(components.build()))
            .security(Some([SecurityRequirement::new("token", nothing), email_and_key]))
            .build()
    }
}
