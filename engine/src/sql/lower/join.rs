//! Joins: which stores they read, and how every kind of join is made of the five that the operator knows.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, JoinType, NullEquality};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Join as JoinPlan};
use datafusion::physical_expr::expressions::{is_not_null, lit};

use crate::dataflow::operators::{Join, JoinCondition, JoinKind, JoinSide};
use crate::dataflow::{Input, NodeId, NodeSpec, Properties};
use crate::error::{Error, Result};
use crate::sql::fingerprint::field_type;
use crate::sql::lower::flow::{Flow, Scalar, compile, positional, schema_of};
use crate::sql::lower::plan::{Lowering, unsupported};

/// One side before it is known which store it has.
#[derive(Clone)]
pub(super) struct Side {
    pub flow: Flow,
    pub keys: Vec<Scalar>,
    pub key_fields: Vec<Field>,
}

/// The condition between two sides.
#[derive(Clone)]
pub(super) struct Condition {
    pub nulls_match: bool,
    /// Over the columns of the left side followed by those of the right.
    pub residual: Option<Scalar>,
}

/// A side as the operator reads it: positions of columns of the node's store.
struct Arranged {
    node: NodeId,
    keys: Vec<usize>,
    columns: Vec<usize>,
}

impl Lowering<'_> {
    pub(super) fn join(&mut self, join: &JoinPlan) -> Result<Flow> {
        let (left_schema, right_schema) = (join.left.schema(), join.right.schema());
        let (left, right) = (self.plan(&join.left)?, self.plan(&join.right)?);
        let (mut left_keys, mut right_keys): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().unzip();
        // A key that neither side has is a condition.
        let mut residual: Vec<Expr> = join.filter.iter().cloned().collect();
        let misplaced = |schema: &DFSchema, expr: &Expr| expr.column_refs().iter().any(|c| !schema.has_column(c));
        for at in (0..left_keys.len()).rev() {
            if misplaced(left_schema, &left_keys[at]) || misplaced(right_schema, &right_keys[at]) {
                residual.push(left_keys.remove(at).eq(right_keys.remove(at)));
            }
        }
        let (left_width, right_width) = (left.fields.len(), right.fields.len());
        let sides = [side(left, left_keys, left_schema)?, side(right, right_keys, right_schema)?];
        let both = left_schema.join(right_schema)?;
        // Where the sides are exchanged, the columns of the condition are too.
        let place = |swapped: bool| {
            move |at: usize| match (swapped, at < left_width) {
                (false, _) => at,
                (true, true) => right_width + at,
                (true, false) => at - left_width,
            }
        };
        let condition = |swapped: bool| -> Result<Condition> {
            let columns: Vec<Scalar> = (0..left_width + right_width).map(place(swapped)).map(Scalar::column).collect();
            let residual = conjunction(residual.clone()).map(|filter| compile(&filter, &both, &columns)).transpose()?;
            Ok(Condition { nulls_match: join.null_equality == NullEquality::NullEqualsNull, residual })
        };
        let flow = match join.join_type {
            JoinType::Inner => self.join_of(JoinKind::Inner, sides, condition(false)?),
            JoinType::Left => self.join_of(JoinKind::Left, sides, condition(false)?),
            JoinType::LeftSemi => self.join_of(JoinKind::Semi, sides, condition(false)?),
            JoinType::LeftAnti if join.null_aware => self.not_in(sides, condition(false)?),
            JoinType::LeftAnti => self.join_of(JoinKind::Anti, sides, condition(false)?),
            JoinType::LeftMark => self.join_of(JoinKind::Mark, sides, condition(false)?),
            JoinType::RightSemi => self.join_of(JoinKind::Semi, swap(sides), condition(true)?),
            JoinType::RightAnti => self.join_of(JoinKind::Anti, swap(sides), condition(true)?),
            JoinType::RightMark => self.join_of(JoinKind::Mark, swap(sides), condition(true)?),
            JoinType::Right => {
                let flow = self.join_of(JoinKind::Left, swap(sides), condition(true)?)?;
                Ok(flow.select(&back(left_width, right_width)))
            }
            JoinType::Full => self.full(sides, condition(false)?, condition(true)?),
        }?;
        debug_assert_eq!(flow.fields.len(), join.schema.fields().len());
        Ok(flow)
    }

    /// L ⟗ R = L ⟕ R + (NULLs beside R ▷ L).
    fn full(&mut self, sides: [Side; 2], condition: Condition, swapped: Condition) -> Result<Flow> {
        let left_fields = sides[0].flow.fields.clone();
        let matched = self.join_of(JoinKind::Left, sides.clone(), condition)?;
        let fields = matched.fields.clone();
        let mut lonely = self.join_of(JoinKind::Anti, swap(sides), swapped)?;
        let nulls = left_fields.iter().map(|field| null(field.data_type())).collect::<Result<Vec<_>>>()?;
        lonely.outputs = nulls.into_iter().chain(lonely.outputs).collect();
        lonely.fields = fields.clone();
        lonely.properties = Properties::unknown();
        let nodes = vec![self.settle(matched)?.node, self.settle(lonely)?.node];
        self.union_of(nodes, fields, Properties::unknown())
    }

    /// A join of one of the operator's kinds.
    pub(super) fn join_of(&mut self, kind: JoinKind, sides: [Side; 2], condition: Condition) -> Result<Flow> {
        let [left, right] = sides;
        let properties = properties(kind, &left, &right);
        let types = |side: &Side| side.flow.fields.clone();
        let pairs = positional(types(&left).iter().chain(&types(&right)).map(AsRef::as_ref));
        let mark = Arc::new(Field::new("", DataType::Boolean, true));
        let fields: Vec<FieldRef> = match kind {
            JoinKind::Inner | JoinKind::Left => pairs.clone(),
            JoinKind::Semi | JoinKind::Anti => types(&left),
            JoinKind::Mark => positional(types(&left).iter().chain([&mark]).map(AsRef::as_ref)),
        };
        // NULL keys match nothing: they need no room, unless the row is in the output without a match.
        let (left_nulls, right_nulls) = match (condition.nulls_match, kind) {
            (true, _) => (true, true),
            (false, JoinKind::Inner | JoinKind::Semi) => (false, false),
            (false, JoinKind::Left | JoinKind::Anti | JoinKind::Mark) => (true, false),
        };
        let left = self.arrange(left, left_nulls)?;
        let right = self.arrange(right, right_nulls)?;
        let residual = condition.residual.as_ref().map_or("", |residual| &residual.text);
        let text = format!(
            "join {} nulls_match={} left[{:?}{:?}] right[{:?}{:?}] where[{residual}]",
            name(kind),
            condition.nulls_match,
            left.keys,
            left.columns,
            right.keys,
            right.columns
        );
        let inputs = vec![Input::plain(left.node), Input::probed(right.node)];
        let node = self.intern(&text, inputs, |graph| {
            let store = |arranged: Arranged| match graph.store(arranged.node) {
                Some(rows) => Ok(JoinSide::new(rows.clone(), arranged.keys, arranged.columns)),
                None => Err(Error::internal("a side of a join is not stored")),
            };
            let sides = [store(left)?, store(right)?];
            let condition = JoinCondition {
                nulls_match: condition.nulls_match,
                residual: condition.residual.map(|residual| residual.physical),
            };
            let operator = Box::new(Join::new(kind, sides, condition, schema_of(&pairs), schema_of(&fields)));
            Ok(NodeSpec { operator, store: None, properties })
        })?;
        Flow::of(self.graph, node)
    }

    /// The store of a side: the relation's own where the side is columns of one, else one made for joins on it.
    fn arrange(&mut self, side: Side, keep_nulls: bool) -> Result<Arranged> {
        let Side { mut flow, keys, key_fields } = side;
        let key_columns: Option<Vec<usize>> = keys.iter().map(|key| key.column).collect();
        if let (Some(columns), Some(keys), Some(_)) = (flow.columns(), key_columns, self.graph.store(flow.node)) {
            return Ok(Arranged { node: flow.node, keys, columns });
        }
        if !keep_nulls {
            for key in &keys {
                let (physical, text) = (is_not_null(key.physical.clone())?, format!("is_not_null({})", key.text));
                flow.predicates.push(Scalar::computed(physical, text));
            }
        }
        let width = flow.outputs.len();
        let keys = flow.extend(keys.into_iter().zip(key_fields).collect());
        let settled = self.settle(flow)?;
        let columns = (0..width).collect();
        if self.graph.store(settled.node).is_some() {
            return Ok(Arranged { node: settled.node, keys, columns });
        }
        let properties = settled.properties;
        let text = format!("arrange {:?}", properties.best_key());
        let node = self.intern(&text, vec![Input::plain(settled.node)], |_| {
            Ok(NodeSpec::stored(schema_of(&settled.fields), properties))
        })?;
        Ok(Arranged { node, keys, columns })
    }
}

fn side(flow: Flow, keys: Vec<Expr>, schema: &DFSchema) -> Result<Side> {
    let compiled = keys.iter().map(|key| flow.compile(key, schema)).collect::<Result<Vec<_>>>()?;
    let input = schema_of(&flow.fields);
    let named = |key: &Expr| -> Result<Field> {
        let (_, field) = datafusion::logical_expr::ExprSchemable::to_field(key, schema)?;
        Ok(field.as_ref().clone())
    };
    let key_fields = keys.iter().map(named).collect::<Result<Vec<_>>>()?;
    debug_assert_eq!(input.fields().len(), schema.fields().len());
    Ok(Side { flow, keys: compiled, key_fields })
}

fn swap([left, right]: [Side; 2]) -> [Side; 2] {
    [right, left]
}

/// The columns of right ++ left in the order left ++ right.
fn back(left_width: usize, right_width: usize) -> Vec<usize> {
    (right_width..right_width + left_width).chain(0..right_width).collect()
}

fn null(ty: &DataType) -> Result<Scalar> {
    let value = datafusion::common::ScalarValue::try_from(ty)?;
    let text = format!("null:{}", field_type(&Field::new("", ty.clone(), true)));
    Ok(Scalar::computed(lit(value), text))
}

fn name(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "inner",
        JoinKind::Left => "left",
        JoinKind::Semi => "semi",
        JoinKind::Anti => "anti",
        JoinKind::Mark => "mark",
    }
}

/// A row of one side stands once where the other side has each key at most once.
fn properties(kind: JoinKind, left: &Side, right: &Side) -> Properties {
    let unique_on_key = |side: &Side| {
        let place = |key: &Scalar| side.flow.outputs.iter().position(|output| output.text == key.text);
        side.flow.properties.is_unique(&side.keys.iter().filter_map(place).collect::<Vec<_>>())
    };
    let (l, r) = (&left.flow.properties, &right.flow.properties);
    let width = left.flow.fields.len();
    let mut keys = l.pair_keys(r, width);
    if unique_on_key(right) {
        keys.extend(l.keys.clone());
    }
    let both_grow = l.append_only && r.append_only;
    match kind {
        JoinKind::Inner => {
            if unique_on_key(left) {
                keys.extend(r.keys.iter().map(|key| key.iter().map(|column| column + width).collect::<Vec<_>>()));
            }
            Properties { keys, append_only: both_grow, ..Properties::default() }
        }
        JoinKind::Left => Properties { keys, ..Properties::default() },
        JoinKind::Semi => Properties { keys: l.keys.clone(), append_only: both_grow, ..Properties::default() },
        JoinKind::Anti | JoinKind::Mark => Properties { keys: l.keys.clone(), ..Properties::default() },
    }
}

impl Lowering<'_> {
    /// `key NOT IN (SELECT …)`: true when the right side is empty; NULL, so no row, when it has a NULL or the key is one;
    /// else true when no row matches. So the anti join beside one row of flags, whether the right side has rows and NULLs.
    fn not_in(&mut self, sides: [Side; 2], condition: Condition) -> Result<Flow> {
        let [left, right] = sides;
        let (1, None) = (left.keys.len(), &condition.residual) else {
            return Err(unsupported("NOT IN over a correlated subquery").with_hint("Write it as NOT EXISTS."));
        };
        let width = left.flow.fields.len();
        let flags = self.flags(&right)?;
        // The key stands beside the left columns, so that it can be asked for after the join.
        let mut keyed = left;
        let place = keyed.flow.extend(keyed.keys.iter().cloned().zip(keyed.key_fields.clone()).collect())[0];
        let total = keyed.flow.fields.len();
        let anti = self.join_of(JoinKind::Anti, [keyed, right], condition)?;
        let none = |flow: Flow| Side { flow, keys: Vec::new(), key_fields: Vec::new() };
        let cross = Condition { nulls_match: false, residual: None };
        let mut flow = self.join_of(JoinKind::Inner, [none(anti), none(flags)], cross)?;
        flow.predicates.push(not_in_condition(place, total, total + 1)?);
        Ok(flow.select(&(0..width).collect::<Vec<_>>()))
    }
}

/// `NOT any OR (NOT nulls AND key IS NOT NULL)`
fn not_in_condition(key: usize, any: usize, nulls: usize) -> Result<Scalar> {
    use datafusion::logical_expr::Operator::{And, Or};
    use datafusion::physical_expr::expressions::{BinaryExpr, not};
    let column = |at: usize| Scalar::column(at).physical;
    let key_is_known = is_not_null(column(key))?;
    let no_nulls = Arc::new(BinaryExpr::new(not(column(nulls))?, And, key_is_known));
    let physical = Arc::new(BinaryExpr::new(not(column(any))?, Or, no_nulls));
    let text = format!("or(not(${any}),and(not(${nulls}),is_not_null(${key})))");
    Ok(Scalar::computed(physical, text))
}
