//! The services as clients use them: calls by the operations' and members' names on a real store.

mod ecs;
mod world;
