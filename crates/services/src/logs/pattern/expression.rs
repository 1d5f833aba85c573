//! Conditions joined by `&&` and `||`, the former binding closer, with parentheses.

use super::{Cursor, PatternError};

/// Parentheses inside each other.
const DEPTH_MAX: usize = 32;

#[derive(Debug)]
pub(super) enum Expression<C> {
    Condition(C),
    All(Vec<Expression<C>>),
    Any(Vec<Expression<C>>),
}

impl<C> Expression<C> {
    pub(super) fn parse(
        cursor: &mut Cursor<'_>,
        condition: &mut dyn FnMut(&mut Cursor<'_>) -> Result<C, PatternError>,
    ) -> Result<Self, PatternError> {
        Self::any(cursor, condition, DEPTH_MAX)
    }

    fn any(
        cursor: &mut Cursor<'_>,
        condition: &mut dyn FnMut(&mut Cursor<'_>) -> Result<C, PatternError>,
        depth: usize,
    ) -> Result<Self, PatternError> {
        let mut parts = vec![Self::all(cursor, condition, depth)?];
        while cursor.take("||") {
            parts.push(Self::all(cursor, condition, depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Self::Any(parts) })
    }

    fn all(
        cursor: &mut Cursor<'_>,
        condition: &mut dyn FnMut(&mut Cursor<'_>) -> Result<C, PatternError>,
        depth: usize,
    ) -> Result<Self, PatternError> {
        let mut parts = vec![Self::atom(cursor, condition, depth)?];
        while cursor.take("&&") {
            parts.push(Self::atom(cursor, condition, depth)?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Self::All(parts) })
    }

    fn atom(
        cursor: &mut Cursor<'_>,
        condition: &mut dyn FnMut(&mut Cursor<'_>) -> Result<C, PatternError>,
        depth: usize,
    ) -> Result<Self, PatternError> {
        cursor.skip_space();
        let atom = if cursor.take("(") {
            let inner = match depth.checked_sub(1) {
                Some(depth) => Self::any(cursor, condition, depth)?,
                None => return Err(PatternError::new("The pattern has too many parentheses")),
            };
            cursor.expect(")")?;
            inner
        } else {
            Self::Condition(condition(cursor)?)
        };
        cursor.skip_space();
        Ok(atom)
    }

    pub(super) fn holds(&self, condition: &impl Fn(&C) -> bool) -> bool {
        match self {
            Self::Condition(own) => condition(own),
            Self::All(parts) => parts.iter().all(|part| part.holds(condition)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(condition)),
        }
    }
}
