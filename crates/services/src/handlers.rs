//! Wires plain functions to a service's generated trait.

/// `read` handlers are `fn(&View, &CallContext, &Input) -> Result<Output, ApiError>`; `write` handlers are
/// `fn(&View, &CallContext, &Input, &mut Ids) -> Decision<Output>`; `settings` handlers write too and get the installation's
/// settings as a fifth argument; `secret` handlers get a new access key instead. `steps`
/// handlers write in as many commits as it takes, until they propose nothing more. `io` handlers are
/// `async fn(&Context, &CallContext, &Input) -> Result<Output, ApiError>`, for what does not stand in the records alone. The
/// service is a struct around the context.
macro_rules! handlers {
    ($trait:path; $($kind:ident $method:ident($input:ty) -> $output:ty = $handler:path;)*) => {
        /// The service on its context.
        pub struct Service(pub std::sync::Arc<crate::Context>);

        /// The operations that have a handler, by their methods' names.
        pub(crate) const METHODS: &[&str] = &[$(stringify!($method),)*];

        /// How each of them is wired, in the same order.
        pub(crate) const KINDS: &[&str] = &[$(stringify!($kind),)*];

        impl $trait for Service {
            $(handlers!(@$kind $method($input) -> $output = $handler);)*
        }
    };
    (@read $method:ident($input:ty) -> $output:ty = $handler:path) => {
        async fn $method(
            &self,
            call: &gantry_api::CallContext,
            input: $input,
        ) -> Result<$output, gantry_api::ApiError> {
            self.0.read(|view| crate::context::unless_dry_run(call, $handler(view, call, &input)?))
        }
    };
    (@write $method:ident($input:ty) -> $output:ty = $handler:path) => {
        async fn $method(
            &self,
            call: &gantry_api::CallContext,
            input: $input,
        ) -> Result<$output, gantry_api::ApiError> {
            let decide = |view: &gantry_domain::View, ids: &mut gantry_types::Ids| {
                crate::context::unless_dry_run(call, $handler(view, call, &input, ids)?)
            };
            self.0.answer(decide).await
        }
    };
    (@steps $method:ident($input:ty) -> $output:ty = $handler:path) => {
        async fn $method(
            &self,
            call: &gantry_api::CallContext,
            input: $input,
        ) -> Result<$output, gantry_api::ApiError> {
            let decide = |view: &gantry_domain::View, ids: &mut gantry_types::Ids| {
                crate::context::unless_dry_run(call, $handler(view, call, &input, ids)?)
            };
            self.0.steps(decide).await
        }
    };
    (@settings $method:ident($input:ty) -> $output:ty = $handler:path) => {
        async fn $method(
            &self,
            call: &gantry_api::CallContext,
            input: $input,
        ) -> Result<$output, gantry_api::ApiError> {
            self.0.answer(|view, ids| $handler(view, call, &input, ids, self.0.settings())).await
        }
    };
    (@secret $method:ident($input:ty) -> $output:ty = $handler:path) => {
        async fn $method(
            &self,
            call: &gantry_api::CallContext,
            input: $input,
        ) -> Result<$output, gantry_api::ApiError> {
            let key = crate::secrets::NewKey::from_kernel()?;
            self.0.answer(|view, ids| $handler(view, call, &input, ids, &key)).await
        }
    };
    (@io $method:ident($input:ty) -> $output:ty = $handler:path) => {
        async fn $method(
            &self,
            call: &gantry_api::CallContext,
            input: $input,
        ) -> Result<$output, gantry_api::ApiError> {
            $handler(&self.0, call, &input).await
        }
    };
}
