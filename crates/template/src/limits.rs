//! How much a template may hold. CloudFormation's quotas, and our own bounds where it says nothing.

/// A template in the request.
pub const BODY_BYTES_MAX: usize = 51_200;
/// A template that the caller fetched for a `TemplateURL`.
pub const FETCHED_BODY_BYTES_MAX: usize = 1 << 20;

pub(crate) const RESOURCES_MAX: usize = 500;
pub(crate) const PARAMETERS_MAX: usize = 200;
pub(crate) const OUTPUTS_MAX: usize = 200;
pub(crate) const MAPPINGS_MAX: usize = 200;
pub(crate) const MAPPING_ATTRIBUTES_MAX: usize = 200;
pub(crate) const DESCRIPTION_BYTES_MAX: usize = 1024;
pub(crate) const NAME_CHARACTERS_MAX: usize = 255;
pub(crate) const PARAMETER_VALUE_BYTES_MAX: usize = 4096;

/// Ours: lists and objects within each other. Everything that walks a template recurses at most this deep.
pub(crate) const DEPTH_MAX: usize = 100;
/// Ours: scalars, lists and objects in all. The largest body with a value every ten bytes stays below it.
pub(crate) const NODES_MAX: usize = 100_000;
/// Ours: the bytes that functions may write while one resource's properties are evaluated. `Fn::Sub` and `Fn::Join` can
/// repeat a value many times, within each other.
pub(crate) const EVALUATION_BYTES_MAX: usize = 16 << 20;
/// Ours: a pattern that compiles into more than this is refused.
pub(crate) const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Ours: how long a pattern with look-around may try one value.
pub(crate) const PATTERN_STEPS_MAX: usize = 100_000;
