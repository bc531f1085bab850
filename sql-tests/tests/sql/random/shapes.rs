//! Queries of the rows of another one: the first ones of an order, and what stands beside a row.

use super::query::{Name, Queries};
use super::ty::Ty;

impl Queries {
    /// The first rows of an order in which equal rows are the same.
    pub(super) fn top(&mut self, types: &[Ty], depth: usize, outer: &[Name]) -> String {
        let rows = self.named(types, depth, outer);
        let order = self.order(types.len());
        let limit = match self.random.below(3) {
            0 => format!(" FETCH FIRST {} ROWS ONLY", self.random.below(5)),
            1 => format!(" LIMIT {} OFFSET {}", self.random.below(6), self.random.below(3)),
            _ => format!(" LIMIT {}", 1 + self.random.below(8)),
        };
        format!("SELECT * FROM {rows} ORDER BY {order}{limit}")
    }

    pub(super) fn distinct_on(&mut self, types: &[Ty], depth: usize, outer: &[Name]) -> String {
        let rows = self.named(types, depth, outer);
        let rest: Vec<String> = (1..types.len()).map(|at| format!(", c{at}{}", self.direction())).collect();
        let first = self.direction();
        format!("SELECT DISTINCT ON (c0) * FROM {rows} ORDER BY c0{first}{}", rest.concat())
    }

    /// The rows, or those of them of which a condition holds.
    pub(super) fn filtered(&mut self, rows: String, types: &[Ty]) -> String {
        if self.random.one_in(2) {
            return rows;
        }
        let (at, alias) = (self.random.below(types.len()), self.fresh("f"));
        let value = self.value_of(types[at], 1, &mut Vec::new());
        let compare = self.random.pick(&["<", ">=", "<>", "IS DISTINCT FROM"]);
        format!("SELECT * FROM ({rows}) AS {alias}({}) WHERE c{at} {compare} {value}", Self::columns(types))
    }

    /// Window functions over different rows in an order of all columns.
    pub(super) fn ranked(&mut self, types: &[Ty], depth: usize, outer: &[Name]) -> String {
        let rows = self.named(types, depth, outer);
        let alias = self.fresh("d");
        let mut items = Vec::new();
        for (at, ty) in types.iter().enumerate() {
            let column = format!("c{at}");
            let forms: &[&str] = match ty {
                Ty::Int8 => &["row_number()", "rank()", "count(@)", "count(*)", "lag(@, 1, 7::bigint)", "ntile(3)"],
                Ty::Int4 => &["sum(@)", "lag(@)", "lead(@, 2, -1)", "min(@)", "max(@)", "nth_value(@, 2)"],
                Ty::Numeric => &["sum(@)", "avg(@)", "lag(@)"],
                _ => &["lag(@)", "lead(@)", "first_value(@)", "last_value(@)", "nth_value(@, 2)", "lag(@, 2)"],
            };
            let call = self.random.pick(forms).replace('@', &column);
            let frame = self.random.pick(&[
                "",
                "",
                " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
                " ROWS UNBOUNDED PRECEDING",
                " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
                " ROWS BETWEEN 3 PRECEDING AND 2 PRECEDING",
            ]);
            let partition = match self.random.one_in(2) {
                true => format!("PARTITION BY c{} ", self.random.below(types.len())),
                false => String::new(),
            };
            let order = self.order(types.len());
            items.push(format!("({call} OVER ({partition}ORDER BY {order}{frame}))::{}", ty.name()));
        }
        let columns = Self::columns(types);
        format!("SELECT {} FROM (SELECT DISTINCT * FROM {rows}) AS {alias}({columns})", items.join(", "))
    }

    /// A derived table with the columns `c0`, `c1`, ….
    fn named(&mut self, types: &[Ty], depth: usize, outer: &[Name]) -> String {
        let rows = self.rows(types, depth - 1, outer);
        let alias = self.fresh("q");
        format!("({rows}) AS {alias}({})", Self::columns(types))
    }

    fn columns(types: &[Ty]) -> String {
        (0..types.len()).map(|at| format!("c{at}")).collect::<Vec<_>>().join(", ")
    }

    /// An order of all of so many columns.
    fn order(&mut self, columns: usize) -> String {
        let first = self.random.below(columns);
        let at = |step: usize| (first + step) % columns;
        (0..columns).map(|step| format!("c{}{}", at(step), self.direction())).collect::<Vec<_>>().join(", ")
    }

    /// A query that is asked of its own rows.
    pub(super) fn recursive(&mut self) -> String {
        let first = self.value(Ty::Int4, 1, &mut Vec::new());
        let text = self.value_of(Ty::Text, 2, &mut Vec::new());
        let all = self.random.pick(&["UNION ALL", "UNION"]);
        let mut names =
            vec![Name { text: "r.n".to_owned(), ty: Ty::Int4 }, Name { text: "r.t".to_owned(), ty: Ty::Text }];
        let next = self.random.pick(&["r.n + 1", "r.n + 2", "r.n + length(r.t) % 2 + 1"]);
        let then = self.value_of(Ty::Text, 1, &mut names);
        let item = self.value_of(Ty::Int4, 1, &mut names);
        format!(
            "WITH RECURSIVE r(n, t) AS (SELECT ({first}) % 3, {text} {all} SELECT {next}, left({then}, 5) FROM r \
             WHERE r.n < 4) SELECT r.n, r.t, {item} FROM r"
        )
    }
}
