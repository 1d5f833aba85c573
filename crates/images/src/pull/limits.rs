//! Every limit of pulling and its default, in one place.

use std::time::Duration;

/// What a registry may cost. All of what it sends is checked against these.
#[derive(Clone, Debug)]
pub struct PullLimits {
    /// Images that are pulled at the same time; further ones wait.
    pub images_at_once: usize,
    /// Images that are pulled or wait for it; a further one fails.
    pub images_max: usize,
    /// Layers of one image that are downloaded at the same time.
    pub layers_at_once: usize,
    pub resolve_wait: Duration,
    pub connect_wait: Duration,
    /// From the request to the head of the answer.
    pub answer_wait: Duration,
    /// Between two pieces of a body.
    pub idle_wait: Duration,
    /// For the whole pull, as the ECS agent has it.
    pub pull_wait: Duration,
    /// How often one thing is asked for before an answer like 503 counts. A download that went on meanwhile begins anew.
    pub attempts_max: u32,
    pub pause_min: Duration,
    pub pause_max: Duration,
    /// A longer Retry-After is not waited for.
    pub retry_after_max: Duration,
    /// How often a download of one layer may be cut, also when it goes on each time.
    pub cuts_max: u32,
    /// What a connection has to bring to count as going on.
    pub progress_bytes_min: u64,
    pub redirects_max: u32,
    pub head_bytes_max: usize,
    /// The body of an error or a token.
    pub message_bytes_max: u64,
    pub tokens_max: usize,
    pub token_life_min: Duration,
    pub token_life_max: Duration,
    /// The file of registries, Docker's file, a password file, a file of certificates.
    pub file_bytes_max: u64,
}

impl Default for PullLimits {
    fn default() -> Self {
        Self {
            images_at_once: 6,
            images_max: 256,
            layers_at_once: 4,
            resolve_wait: Duration::from_secs(10),
            connect_wait: Duration::from_secs(15),
            answer_wait: Duration::from_secs(30),
            idle_wait: Duration::from_secs(30),
            pull_wait: Duration::from_secs(2 * 3600),
            attempts_max: 4,
            pause_min: Duration::from_millis(250),
            pause_max: Duration::from_secs(5),
            retry_after_max: Duration::from_secs(30),
            cuts_max: 100,
            progress_bytes_min: 64 * 1024,
            redirects_max: 5,
            head_bytes_max: 64 * 1024,
            message_bytes_max: 256 * 1024,
            tokens_max: 256,
            token_life_min: Duration::from_secs(60),
            token_life_max: Duration::from_secs(3600),
            file_bytes_max: 4 * 1024 * 1024,
        }
    }
}
