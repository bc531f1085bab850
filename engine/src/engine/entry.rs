//! Entries of the log: what one transaction does, as one unit of durability and of visibility.
//!
//! Layout: version byte, then operations. An operation is a tag byte, the length of its payload in four big-endian
//! bytes, and the payload: [sealed] JSON for a change of the catalog; a table's id in four big-endian bytes and its rows as
//! [`codec`] writes them for a change of rows.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::catalog::{Item, ItemKind};
use crate::data::{Epoch, ObjectId, ZSet, codec, sealed};
use crate::error::{Error, Result};
use crate::source::Place;

const VERSION: u8 = 3;
const CREATE: u8 = 1;
const DROP: u8 = 2;
const WRITE: u8 = 3;
const BEGIN: u8 = 4;
const SUSPEND: u8 = 5;

/// What cannot be read where something is broken.
const BROKEN: &str = "an entry of the log";

/// One thing that a transaction does.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A new object.
    Create(Item),
    /// Objects that go, each before what it stands on.
    Drop(Vec<ObjectId>),
    /// Rows inserted into and deleted from a table.
    Write { table: ObjectId, change: ZSet },
    /// A source is read from here on, unless it is read already: views made since find what is before in its history. Only
    /// the step that makes the first of them knows whether it is the first. `asked` is an epoch that was there before the
    /// broker was asked; None once the step has looked at what has come since, and
    /// in the log.
    Begin { source: ObjectId, read: Place, asked: Option<Epoch> },
    /// Views and sinks, with all that stand on them, that are not kept current any more, and why.
    Suspend { relations: BTreeSet<ObjectId>, why: String },
}

impl Operation {
    /// Bytes of the rows that it writes, in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Operation::Write { change, .. } => change.bytes(),
            Operation::Create(_) | Operation::Drop(_) | Operation::Begin { .. } | Operation::Suspend { .. } => 0,
        }
    }

    /// The table whose rows it changes.
    pub fn written(&self) -> Option<ObjectId> {
        match self {
            Operation::Write { table, .. } => Some(*table),
            Operation::Create(_) | Operation::Drop(_) | Operation::Begin { .. } | Operation::Suspend { .. } => None,
        }
    }

    /// The materialized view that it makes.
    pub fn created_view(&self) -> Option<ObjectId> {
        match self {
            Operation::Create(Item { id, kind: ItemKind::MaterializedView { .. }, .. }) => Some(*id),
            _ => None,
        }
    }
}

/// The operations of a transaction, in their order.
pub fn encode(operations: &[Operation]) -> Result<Bytes> {
    let mut out = vec![VERSION];
    for operation in operations {
        let tag = match operation {
            Operation::Create(_) => CREATE,
            Operation::Drop(_) => DROP,
            Operation::Write { .. } => WRITE,
            Operation::Begin { .. } => BEGIN,
            Operation::Suspend { .. } => SUSPEND,
        };
        out.push(tag);
        let length_at = out.len();
        out.extend([0; 4]);
        match operation {
            Operation::Create(item) => sealed::encode(item, &mut out)?,
            Operation::Drop(ids) => sealed::encode(ids, &mut out)?,
            Operation::Begin { source, read, asked: _ } => sealed::encode(&(source, read), &mut out)?,
            Operation::Suspend { relations, why } => sealed::encode(&(relations, why), &mut out)?,
            Operation::Write { table, change } => {
                out.extend(table.0.to_be_bytes());
                codec::encode(change, &mut out)?;
            }
        }
        let length = u32::try_from(out.len() - length_at - 4)
            .map_err(|_| Error::internal("a transaction writes more than 4 GiB to one table"))?;
        out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(out.into())
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// XX001 when the bytes are something else.
pub fn decode(bytes: &[u8]) -> Result<Vec<Operation>> {
    let broken = || Error::corrupt(format!("{BROKEN} cannot be read"));
    let (&version, mut rest) = bytes.split_first().ok_or_else(broken)?;
    if version != VERSION {
        return Err(Error::corrupt(format!("the log was written in format {version}, this server reads {VERSION}")));
    }
    let mut operations = Vec::new();
    while let Some((&tag, after)) = rest.split_first() {
        let (length, after) = split_u32(after).ok_or_else(broken)?;
        let (payload, after) = after.split_at_checked(length as usize).ok_or_else(broken)?;
        operations.push(match tag {
            CREATE => Operation::Create(sealed::decode(payload, BROKEN)?),
            DROP => Operation::Drop(sealed::decode(payload, BROKEN)?),
            BEGIN => {
                let (source, read) = sealed::decode(payload, BROKEN)?;
                Operation::Begin { source, read, asked: None }
            }
            SUSPEND => {
                let (relations, why) = sealed::decode(payload, BROKEN)?;
                Operation::Suspend { relations, why }
            }
            WRITE => {
                let (table, rows) = split_u32(payload).ok_or_else(broken)?;
                Operation::Write { table: ObjectId(table), change: codec::decode(rows)? }
            }
            _ => return Err(broken()),
        });
        rest = after;
    }
    Ok(operations)
}

fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}
