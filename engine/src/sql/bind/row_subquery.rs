//! `(a, b) IN (SELECT x, y …)` and `(a, b) = (SELECT x, y …)`.

use datafusion::logical_expr::{Operator, lit};
use sqlparser::ast::{self, BinaryOperator, Expr, Ident};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::error::{Error, Result, SqlState};
use crate::sql::bind::access::field;
use crate::sql::bind::{Binder, Bound, Scope, plan};

/// The name of the subquery's rows: one that nobody writes.
const ROWS: &str = "(rows)";

impl Binder<'_> {
    /// Whether a row is among those of a query; unknown where none equals it and NULL stands in the way:
    ///
    /// `CASE WHEN EXISTS (rows with a = x AND b = y) THEN true WHEN EXISTS (rows where that is NULL) THEN NULL ELSE false END`
    pub(super) fn row_in_subquery(
        &mut self,
        values: &[Expr],
        query: &ast::Query,
        negated: bool,
        scope: &Scope,
    ) -> Result<Bound> {
        let given = self.bind_subquery(query, scope)?.columns.len();
        check_width(given, values.len())?;
        let equal = matching(values);
        let unknown = Expr::IsNull(Box::new(Expr::Nested(Box::new(equal.clone()))));
        let when = |condition: Expr, result: ast::Value| -> Result<ast::CaseWhen> {
            let subquery = Box::new(rows_where(query, values.len(), condition)?);
            Ok(ast::CaseWhen { condition: Expr::Exists { subquery, negated: false }, result: value(result) })
        };
        let case = Expr::Case {
            case_token: ast::helpers::attached_token::AttachedToken::empty(),
            end_token: ast::helpers::attached_token::AttachedToken::empty(),
            operand: None,
            conditions: vec![when(equal, ast::Value::Boolean(!negated))?, when(unknown, ast::Value::Null)?],
            else_result: Some(Box::new(value(ast::Value::Boolean(negated)))),
        };
        self.bind_expr(&case, scope)
    }

    /// `(a, b) = (SELECT x, y …)`: with the fields of the query's only row, each NULL where it has none.
    pub(super) fn compare_row_with_query(
        &mut self,
        values: &[Expr],
        operator: Operator,
        query: &ast::Query,
        scope: &Scope,
    ) -> Result<Bound> {
        let bound = self.bind_subquery(query, scope)?;
        check_width(bound.columns.len(), values.len())?;
        let names: Vec<String> = (0..values.len()).map(column_name).collect();
        let outputs = bound.outputs().into_iter().zip(&names);
        let args = outputs.flat_map(|(output, name)| [lit(name.clone()), output.expr]).collect();
        let fields: Vec<_> = names.iter().cloned().zip(bound.columns.iter().map(|column| column.ty.clone())).collect();
        let whole = self.struct_of(args, &fields)?.alias(self.fresh());
        let found = self.scalar_subquery(plan::project(bound.plan, vec![whole])?, scope)?;
        let mut pairs = Vec::with_capacity(values.len());
        for (value, (name, ty)) in values.iter().zip(fields) {
            pairs.push((self.bind_expr(value, scope)?, Bound::new(field(found.clone(), &name), ty, None)));
        }
        self.compare_pairs(&pairs, operator)
    }
}

fn check_width(given: usize, wanted: usize) -> Result<()> {
    if given == wanted {
        return Ok(());
    }
    let how = if given < wanted { "few" } else { "many" };
    Err(Error::new(SqlState::SYNTAX_ERROR, format!("subquery has too {how} columns")))
}

fn value(value: ast::Value) -> Expr {
    Expr::Value(value.into())
}

/// The name of a column of the rows, by its position.
fn column_name(at: usize) -> String {
    format!("({at})")
}

/// `a = x AND b = y`
fn matching(values: &[Expr]) -> Expr {
    let quoted = |name: &str| Ident::with_quote('"', name);
    let equal = |(at, value): (usize, &Expr)| Expr::BinaryOp {
        left: Box::new(value.clone()),
        op: BinaryOperator::Eq,
        right: Box::new(Expr::CompoundIdentifier(vec![quoted(ROWS), quoted(&column_name(at))])),
    };
    let both = |left: Expr, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    };
    values.iter().enumerate().map(equal).reduce(both).unwrap_or_else(|| value(ast::Value::Boolean(true)))
}

/// `SELECT 1 FROM (query) AS rows(x, y) WHERE condition`
fn rows_where(query: &ast::Query, columns: usize, condition: Expr) -> Result<ast::Query> {
    let names: Vec<String> = (0..columns).map(|at| format!("\"{}\"", column_name(at))).collect();
    let text = format!("SELECT 1 FROM (SELECT 1) AS \"{ROWS}\"({})", names.join(", "));
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).and_then(|mut parser| parser.parse_query());
    let mut rows = *parsed.map_err(|error| Error::internal("a query of rows").with_source(error))?;
    if let ast::SetExpr::Select(select) = &mut *rows.body {
        select.selection = Some(condition);
        if let Some(ast::TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation)
        {
            **subquery = query.clone();
        }
    }
    Ok(rows)
}
