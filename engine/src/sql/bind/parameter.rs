//! The types of a statement's parameters.

use crate::data::SqlType;
use crate::error::{Error, Result, SqlState};

/// Types of `$1`, `$2`, …: given by the client, or found by the context in which each first needs one.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    types: Vec<Option<SqlType>>,
    /// Whether parameters may stand in the statement at all.
    allowed: bool,
}

impl Parameters {
    /// No parameters: a statement that is run as it stands.
    pub fn none() -> Parameters {
        Parameters::default()
    }

    /// Those of a prepared statement; types not given are inferred.
    pub fn given(types: &[Option<SqlType>]) -> Parameters {
        let settled = |ty: &Option<SqlType>| ty.clone().filter(|ty| *ty != SqlType::Unknown);
        Parameters { types: types.iter().map(settled).collect(), allowed: true }
    }

    /// The type of parameter `number` (from 1) so far. Marks the parameter as used; 42P02 where there are none.
    pub fn used(&mut self, number: usize) -> Result<Option<SqlType>> {
        if !self.allowed || number == 0 || number > usize::from(u16::MAX) {
            return Err(Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${number}")));
        }
        if self.types.len() < number {
            self.types.resize(number, None);
        }
        Ok(self.types[number - 1].clone())
    }

    /// Gives parameter `number` a type, if it has none. Another type than before is 42P08 in PostgreSQL, and an error.
    pub fn settle(&mut self, number: usize, ty: &SqlType) -> Result<()> {
        match self.used(number)? {
            None => self.types[number - 1] = Some(ty.clone()),
            Some(before) if before == *ty => {}
            Some(before) => {
                let message = format!("inconsistent types deduced for parameter ${number}");
                let detail = format!("{before} versus {ty}");
                return Err(Error::new(SqlState::INDETERMINATE_DATATYPE, message).with_detail(detail));
            }
        }
        Ok(())
    }

    /// The types of all, 42P18 where nothing told one.
    pub fn types(&self) -> Result<Vec<SqlType>> {
        let typed = |(index, ty): (usize, &Option<SqlType>)| {
            let message = || format!("could not determine data type of parameter ${}", index + 1);
            ty.clone().ok_or_else(|| Error::new(SqlState::INDETERMINATE_DATATYPE, message()))
        };
        self.types.iter().enumerate().map(typed).collect()
    }
}
