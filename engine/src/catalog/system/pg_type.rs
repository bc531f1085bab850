//! `pg_type`, and in `pg_proc` the functions by which it says how values are read and written.

use super::rows::{Datum, Rows};
use super::{OWNER, PG_CATALOG, System, composite};

/// Facts of PostgreSQL's `pg_type.dat`: name, OID, OID of the array type, length, by value, kind, category, preferred,
/// alignment, storage, collation, element, then name and OID of the input, output, receive and send functions, then
/// the OIDs of the functions for modifiers.
const TYPES: &str = "\
bool 16 1000 1 t b B t c p 0 0 boolin 1242 boolout 1243 boolrecv 2436 boolsend 2437 0 0
bytea 17 1001 -1 f b U f i x 0 0 byteain 1244 byteaout 31 bytearecv 2412 byteasend 2413 0 0
char 18 1002 1 t b Z f c p 0 0 charin 1245 charout 33 charrecv 2434 charsend 2435 0 0
name 19 1003 64 f b S f c p 950 18 namein 34 nameout 35 namerecv 2422 namesend 2423 0 0
int8 20 1016 8 t b N f d p 0 0 int8in 460 int8out 461 int8recv 2408 int8send 2409 0 0
int2 21 1005 2 t b N f s p 0 0 int2in 38 int2out 39 int2recv 2404 int2send 2405 0 0
int2vector 22 1006 -1 f b A f i p 0 21 int2vectorin 40 int2vectorout 41 int2vectorrecv 2410 int2vectorsend 2411 0 0
int4 23 1007 4 t b N f i p 0 0 int4in 42 int4out 43 int4recv 2406 int4send 2407 0 0
regproc 24 1008 4 t b N f i p 0 0 regprocin 44 regprocout 45 regprocrecv 2444 regprocsend 2445 0 0
text 25 1009 -1 f b S t i x 100 0 textin 46 textout 47 textrecv 2414 textsend 2415 0 0
oid 26 1028 4 t b N t i p 0 0 oidin 1798 oidout 1799 oidrecv 2418 oidsend 2419 0 0
xid 28 1011 4 t b U f i p 0 0 xidin 50 xidout 51 xidrecv 2440 xidsend 2441 0 0
oidvector 30 1013 -1 f b A f i p 0 26 oidvectorin 54 oidvectorout 55 oidvectorrecv 2420 oidvectorsend 2421 0 0
json 114 199 -1 f b U f i x 0 0 json_in 321 json_out 322 json_recv 323 json_send 324 0 0
pg_node_tree 194 0 -1 f b Z f i x 100 0 pg_node_tree_in 195 pg_node_tree_out 196 pg_node_tree_recv 197 pg_node_tree_send 198 0 0
float4 700 1021 4 t b N f i p 0 0 float4in 200 float4out 201 float4recv 2424 float4send 2425 0 0
float8 701 1022 8 t b N t d p 0 0 float8in 214 float8out 215 float8recv 2426 float8send 2427 0 0
unknown 705 0 -2 f p X f c p 0 0 unknownin 109 unknownout 110 unknownrecv 2416 unknownsend 2417 0 0
bpchar 1042 1014 -1 f b S f i x 100 0 bpcharin 1044 bpcharout 1045 bpcharrecv 2430 bpcharsend 2431 2913 2914
varchar 1043 1015 -1 f b S f i x 100 0 varcharin 1046 varcharout 1047 varcharrecv 2432 varcharsend 2433 2915 2916
date 1082 1182 4 t b D f i p 0 0 date_in 1084 date_out 1085 date_recv 2468 date_send 2469 0 0
time 1083 1183 8 t b D f d p 0 0 time_in 1143 time_out 1144 time_recv 2470 time_send 2471 2909 2910
timestamp 1114 1115 8 t b D f d p 0 0 timestamp_in 1312 timestamp_out 1313 timestamp_recv 2474 timestamp_send 2475 2905 2906
timestamptz 1184 1185 8 t b D t d p 0 0 timestamptz_in 1150 timestamptz_out 1151 timestamptz_recv 2476 timestamptz_send 2477 2907 2908
interval 1186 1187 16 f b T t d p 0 0 interval_in 1160 interval_out 1161 interval_recv 2478 interval_send 2479 2903 2904
numeric 1700 1231 -1 f b N f i m 0 0 numeric_in 1701 numeric_out 1702 numeric_recv 2460 numeric_send 2461 2917 2918
regclass 2205 2210 4 t b N f i p 0 0 regclassin 2218 regclassout 2219 regclassrecv 2452 regclasssend 2453 0 0
regtype 2206 2211 4 t b N f i p 0 0 regtypein 2220 regtypeout 2221 regtyperecv 2454 regtypesend 2455 0 0
record 2249 2287 -1 f p P f d x 0 0 record_in 2290 record_out 2291 record_recv 2402 record_send 2403 0 0
cstring 2275 1263 -2 f p P f c p 0 0 cstring_in 2292 cstring_out 2293 cstring_recv 2500 cstring_send 2501 0 0
any 2276 0 4 t p P f i p 0 0 any_in 2294 any_out 2295 - 0 - 0 0 0
anyarray 2277 0 -1 f p P f d x 0 0 anyarray_in 2296 anyarray_out 2297 anyarray_recv 2502 anyarray_send 2503 0 0
void 2278 0 4 t p P f i p 0 0 void_in 2298 void_out 2299 void_recv 3120 void_send 3121 0 0
uuid 2950 2951 16 f b U f c p 0 0 uuid_in 2952 uuid_out 2953 uuid_recv 2961 uuid_send 2962 0 0
jsonb 3802 3807 -1 f b U f i x 0 0 jsonb_in 3806 jsonb_out 3804 jsonb_recv 3805 jsonb_send 3803 0 0
regnamespace 4089 4090 4 t b N f i p 0 0 regnamespacein 4084 regnamespaceout 4085 regnamespacerecv 4087 regnamespacesend 4088 0 0
regrole 4096 4097 4 t b N f i p 0 0 regrolein 4098 regroleout 4092 regrolerecv 4094 regrolesend 4095 0 0
";

/// OIDs of `array_in`, `array_out`, `array_recv`, `array_send`, `array_typanalyze` and `array_subscript_handler`.
pub const ARRAY_FUNCTIONS: [(&str, u32); 6] = [
    ("array_in", 750),
    ("array_out", 751),
    ("array_recv", 2400),
    ("array_send", 2401),
    ("array_typanalyze", 3816),
    ("array_subscript_handler", 6179),
];

/// One line of [`TYPES`].
struct TypeFacts {
    words: Vec<&'static str>,
}

impl TypeFacts {
    fn all() -> impl Iterator<Item = TypeFacts> {
        TYPES.lines().map(|line| TypeFacts { words: line.split(' ').collect() })
    }

    fn word(&self, at: usize) -> &'static str {
        self.words.get(at).copied().unwrap_or_default()
    }

    fn number(&self, at: usize) -> i64 {
        self.word(at).parse().unwrap_or_default()
    }

    /// Name and OID of the functions for input, output, receive and send; OID 0 where there is none.
    fn functions(&self) -> [(&'static str, i64); 4] {
        [12, 14, 16, 18].map(|at| (self.word(at), self.number(at + 1)))
    }

    fn add_to(&self, rows: &mut Rows) {
        let [input, output, receive, send] = self.functions().map(|(_, oid)| Datum::from(oid));
        let flag = |at| Datum::from(self.word(at) == "t");
        let modified = self.number(20) != 0;
        rows.add([
            ("oid", self.number(1).into()),
            ("typname", self.word(0).into()),
            ("typnamespace", PG_CATALOG.into()),
            ("typowner", OWNER.into()),
            ("typlen", self.number(3).into()),
            ("typbyval", flag(4)),
            ("typtype", self.word(5).into()),
            ("typcategory", self.word(6).into()),
            ("typispreferred", flag(7)),
            ("typisdefined", true.into()),
            ("typdelim", ",".into()),
            ("typelem", self.number(11).into()),
            ("typarray", self.number(2).into()),
            ("typinput", input),
            ("typoutput", output),
            ("typreceive", receive),
            ("typsend", send),
            ("typmodin", if modified { self.number(20).into() } else { 0.into() }),
            ("typmodout", self.number(21).into()),
            ("typalign", self.word(8).into()),
            ("typstorage", self.word(9).into()),
            ("typtypmod", (-1).into()),
            ("typcollation", self.number(10).into()),
        ]);
    }

    /// The array of this type.
    fn add_array_to(&self, rows: &mut Rows) {
        let [input, output, receive, send, analyze, subscript] = ARRAY_FUNCTIONS.map(|(_, oid)| Datum::from(oid));
        let kind = if self.word(5) == "p" { "p" } else { "b" };
        rows.add([
            ("oid", self.number(2).into()),
            ("typname", format!("_{}", self.word(0)).into()),
            ("typnamespace", PG_CATALOG.into()),
            ("typowner", OWNER.into()),
            ("typlen", (-1).into()),
            ("typtype", kind.into()),
            ("typcategory", if kind == "p" { "P" } else { "A" }.into()),
            ("typisdefined", true.into()),
            ("typdelim", ",".into()),
            ("typsubscript", subscript),
            ("typelem", self.number(1).into()),
            ("typinput", input),
            ("typoutput", output),
            ("typreceive", receive),
            ("typsend", send),
            ("typanalyze", analyze),
            ("typmodin", self.number(20).into()),
            ("typmodout", self.number(21).into()),
            ("typalign", if self.word(8) == "d" { "d" } else { "i" }.into()),
            ("typstorage", "x".into()),
            ("typtypmod", (-1).into()),
            ("typcollation", self.number(10).into()),
        ]);
    }
}

/// `pg_type`.
pub fn types(system: &System, rows: &mut Rows) {
    for ty in TypeFacts::all() {
        ty.add_to(rows);
        if ty.number(2) != 0 {
            ty.add_array_to(rows);
        }
    }
    composite::types(system, rows);
}

/// `pg_proc`: input and output functions of types. What can be called in SQL is not listed.
pub fn functions(_: &System, rows: &mut Rows) {
    for (name, oid) in known_functions() {
        rows.add([
            ("oid", oid.into()),
            ("proname", name.into()),
            ("pronamespace", PG_CATALOG.into()),
            ("proowner", OWNER.into()),
            ("prolang", 12.into()),
            ("procost", Datum::Float(1.0)),
            ("prokind", "f".into()),
            ("proisstrict", true.into()),
            ("provolatile", "i".into()),
            ("proparallel", "s".into()),
            ("prosrc", name.into()),
        ]);
    }
}

/// The name of a function of `pg_proc`.
pub fn function_name(oid: u32) -> Option<&'static str> {
    known_functions().find(|(_, known)| *known == oid).map(|(name, _)| name)
}

/// The number of a function of `pg_proc`.
pub fn function_number(name: &str) -> Option<u32> {
    known_functions().find(|(known, _)| *known == name).map(|(_, oid)| oid)
}

fn known_functions() -> impl Iterator<Item = (&'static str, u32)> {
    let arrays = ARRAY_FUNCTIONS.map(|(name, oid)| (name, i64::from(oid)));
    let all = TypeFacts::all().flat_map(|ty| ty.functions()).chain(arrays);
    all.filter_map(|(name, oid)| Some((name, u32::try_from(oid).ok().filter(|oid| *oid != 0)?)))
}

/// `typbyval`, `typalign`, `typstorage` and `typcollation` of a type, as `pg_attribute` repeats them.
pub fn storage(oid: u32) -> (bool, &'static str, &'static str, i64) {
    for ty in TypeFacts::all() {
        if ty.number(1) == i64::from(oid) {
            return (ty.word(4) == "t", ty.word(8), ty.word(9), ty.number(10));
        }
        if oid != 0 && ty.number(2) == i64::from(oid) {
            return (false, if ty.word(8) == "d" { "d" } else { "i" }, "x", ty.number(10));
        }
    }
    (false, "i", "x", 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::SqlType;

    #[test]
    fn types_are_whole_and_agree_with_ours() {
        for ty in TypeFacts::all() {
            assert_eq!(ty.words.len(), 22, "{:?}", ty.words);
            let Some(ours) = SqlType::from_oid(ty.number(1) as u32) else { continue };
            assert_eq!(ours.type_name(), ty.word(0));
            assert_eq!(i64::from(ours.type_len()), ty.number(3), "{ours}");
            if ty.number(2) != 0 {
                assert_eq!(i64::from(ours.array().oid()), ty.number(2));
            }
        }
    }
}
