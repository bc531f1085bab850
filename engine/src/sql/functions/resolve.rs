//! Choice among functions or operators of one name, by PostgreSQL's rules (`func_select_candidate`, chapter 10).

use super::category::{Category, Coercion, can_coerce, category, is_preferred, same};
use super::signature::{Function, T};
use crate::data::SqlType;

/// What a choice came to.
pub enum Choice {
    /// Settled argument types and result type.
    One { function: &'static Function, args: Vec<SqlType>, result: SqlType },
    /// No function fits.
    None,
    /// More than one fits equally well.
    Ambiguous,
}

struct Candidate {
    function: &'static Function,
    args: Vec<T>,
}

/// Chooses among `functions`, all of one name, for arguments of types `given` ([`SqlType::Unknown`] where open).
pub fn choose(functions: impl Iterator<Item = &'static Function>, given: &[SqlType]) -> Choice {
    let mut candidates: Vec<Candidate> =
        functions.filter_map(|function| Some(Candidate { function, args: function.arity(given.len())? })).collect();
    let exact = candidates.iter().position(|candidate| {
        candidate.args.iter().zip(given).all(|(arg, given)| *given != SqlType::Unknown && is_exactly(*arg, given))
    });
    if let Some(at) = exact {
        return settle(&candidates[at], given);
    }
    candidates.retain(|candidate| {
        candidate.args.iter().zip(given).all(|(arg, given)| accepts(*arg, given)) && consistent(&candidate.args, given)
    });
    // A signature with the same types counts once, the one without repeated arguments first.
    candidates.sort_by_key(|candidate| candidate.function.variadic);
    let mut unique: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if !unique.iter().any(|known| known.args == candidate.args) {
            unique.push(candidate);
        }
    }
    match select(unique, given) {
        Ok(Some(candidate)) => settle(&candidate, given),
        Ok(None) => Choice::None,
        Err(()) => Choice::Ambiguous,
    }
}

fn is_exactly(arg: T, given: &SqlType) -> bool {
    arg.sql().is_some_and(|ty| same(&ty, given))
}

fn accepts(arg: T, given: &SqlType) -> bool {
    if *given == SqlType::Unknown {
        return true;
    }
    match arg {
        T::Any | T::AnyElement | T::AnyCompatible => true,
        T::AnyNonArray => category(given) != Category::Array,
        T::AnyArray | T::AnyCompatibleArray => category(given) == Category::Array,
        T::Record => matches!(given, SqlType::Record(_)),
        concrete => concrete.sql().is_some_and(|ty| can_coerce(given, &ty, Coercion::Implicit)),
    }
}

/// Whether all of `AnyElement` and `AnyArray` can be about one type.
fn consistent(args: &[T], given: &[SqlType]) -> bool {
    let elements =
        args.iter().zip(given).filter(|(_, given)| **given != SqlType::Unknown).filter_map(|(arg, given)| match arg {
            T::AnyElement | T::AnyNonArray => Some(given.bare()),
            T::AnyArray => element(given),
            _ => None,
        });
    let elements: Vec<SqlType> = elements.collect();
    elements.windows(2).all(|pair| pair[0] == pair[1]) && compatible(args, given)
}

/// Whether all of `AnyCompatible` and `AnyCompatibleArray` have a common type.
fn compatible(args: &[T], given: &[SqlType]) -> bool {
    let known = args.iter().zip(given).filter(|(_, given)| **given != SqlType::Unknown);
    let mut types = known.filter_map(|(arg, given)| match arg {
        T::AnyCompatible => Some(given.bare()),
        T::AnyCompatibleArray => element(given).map(|ty| ty.bare()),
        _ => None,
    });
    let Some(mut common) = types.next() else {
        return true;
    };
    types.all(|ty| {
        let widens = can_coerce(&common, &ty, Coercion::Implicit);
        let fits = can_coerce(&ty, &common, Coercion::Implicit);
        if widens && !fits {
            common = ty;
        }
        widens || fits
    })
}

/// The element type of an array type.
pub fn element(ty: &SqlType) -> Option<SqlType> {
    match ty {
        SqlType::Array(element) => Some((**element).clone()),
        SqlType::Int2vector => Some(SqlType::Int2),
        SqlType::Oidvector => Some(SqlType::Oid),
        _ => None,
    }
}

/// PostgreSQL's steps 4.c to 4.f. `Err` for a tie.
fn select(mut candidates: Vec<Candidate>, given: &[SqlType]) -> Result<Option<Candidate>, ()> {
    let keep_best = |candidates: Vec<Candidate>, score: &dyn Fn(T, &SqlType) -> bool| {
        let score =
            |candidate: &Candidate| candidate.args.iter().zip(given).filter(|(arg, given)| score(**arg, given)).count();
        let best = candidates.iter().map(score).max().unwrap_or(0);
        candidates.into_iter().filter(|candidate| score(candidate) == best).collect::<Vec<_>>()
    };
    if candidates.len() > 1 {
        candidates = keep_best(candidates, &|arg, given| is_exactly(arg, given));
    }
    if candidates.len() > 1 {
        candidates = keep_best(candidates, &|arg, given| {
            let preferred = |ty: SqlType| is_preferred(&ty) && category(&ty) == category(given);
            *given != SqlType::Unknown && (is_exactly(arg, given) || arg.sql().is_some_and(preferred))
        });
    }
    if candidates.len() > 1 && given.contains(&SqlType::Unknown) {
        candidates = by_category(candidates, given);
    }
    if candidates.len() > 1 {
        // If all known arguments are of one type, assume the unknown ones are too.
        let mut known = given.iter().filter(|ty| **ty != SqlType::Unknown).map(SqlType::bare);
        if let Some(first) = known.next()
            && known.all(|ty| ty == first)
        {
            let assumed = vec![first; given.len()];
            let fits = |candidate: &Candidate| {
                let accepted = candidate.args.iter().zip(&assumed).all(|(arg, ty)| accepts(*arg, ty));
                accepted && consistent(&candidate.args, &assumed)
            };
            if candidates.iter().filter(|candidate| fits(candidate)).count() == 1 {
                candidates.retain(fits);
            }
        }
    }
    match candidates.len() {
        0 => Ok(None),
        1 => Ok(candidates.pop()),
        _ => Err(()),
    }
}

/// Step 4.e: unknown arguments take the category that candidates agree on, strings where any candidate does.
fn by_category(candidates: Vec<Candidate>, given: &[SqlType]) -> Vec<Candidate> {
    let mut wanted: Vec<Option<(Category, bool)>> = vec![None; given.len()];
    for (at, slot) in wanted.iter_mut().enumerate().filter(|(at, _)| given[*at] == SqlType::Unknown) {
        let mut found: Option<Category> = None;
        let mut preferred = false;
        let mut conflict = false;
        for ty in candidates.iter().map(|candidate| candidate.args[at].sql()) {
            let (kind, is_best) = match &ty {
                Some(ty) => (category(ty), is_preferred(ty)),
                None => (Category::Pseudo, false),
            };
            match found {
                None => (found, preferred) = (Some(kind), is_best),
                Some(known) if known == kind => preferred |= is_best,
                Some(_) if kind == Category::String => {
                    (found, preferred, conflict) = (Some(kind), is_best, false);
                    break;
                }
                Some(Category::String) => {}
                Some(_) => conflict = true,
            }
        }
        let any_string = candidates.iter().filter_map(|candidate| candidate.args[at].sql());
        let strings: Vec<SqlType> = any_string.filter(|ty| category(ty) == Category::String).collect();
        if !strings.is_empty() {
            *slot = Some((Category::String, strings.iter().any(is_preferred)));
        } else if conflict {
            return candidates;
        } else {
            *slot = found.map(|kind| (kind, preferred));
        }
    }
    let fits = |candidate: &&Candidate| {
        candidate.args.iter().zip(&wanted).all(|(arg, wanted)| match wanted {
            None => true,
            Some((kind, preferred)) => {
                let ty = arg.sql();
                let own = ty.as_ref().map_or(Category::Pseudo, category);
                own == *kind && (!preferred || ty.as_ref().is_some_and(is_preferred))
            }
        })
    };
    if candidates.iter().any(|candidate| fits(&candidate)) {
        candidates.into_iter().filter(|candidate| fits(&candidate)).collect()
    } else {
        candidates
    }
}

/// The char(n) that all arguments are which need not be of another type: what is made of them has its blanks too.
fn blanks(candidate: &Candidate, given: &[SqlType]) -> Option<SqlType> {
    let open = |arg: T| {
        use T::{AnyArray, AnyCompatible, AnyCompatibleArray, AnyElement, AnyNonArray, Bpchar};
        matches!(arg, AnyElement | AnyNonArray | AnyArray | AnyCompatible | AnyCompatibleArray | Bpchar)
    };
    let mut types = candidate.args.iter().zip(given).filter(|(arg, _)| open(**arg)).map(|(arg, given)| match arg {
        T::AnyArray | T::AnyCompatibleArray => element(given),
        _ => Some(given.clone()),
    });
    match types.next().flatten() {
        Some(first) if has_blanks(&first) && types.all(|ty| ty.as_ref() == Some(&first)) => Some(first),
        _ => None,
    }
}

fn has_blanks(ty: &SqlType) -> bool {
    match ty {
        SqlType::Bpchar(length) => length.is_some(),
        SqlType::Array(element) => has_blanks(element),
        _ => false,
    }
}

/// Fills in polymorphic types.
fn settle(candidate: &Candidate, given: &[SqlType]) -> Choice {
    let mut any: Option<SqlType> = None;
    let mut compatible: Option<SqlType> = None;
    let merge = |slot: &mut Option<SqlType>, ty: SqlType| {
        let wider = slot.as_ref().is_none_or(|known| {
            !same(known, &ty)
                && can_coerce(known, &ty, Coercion::Implicit)
                && !can_coerce(&ty, known, Coercion::Implicit)
        });
        if wider {
            *slot = Some(ty);
        }
    };
    let blanks = blanks(candidate, given);
    let bare = |ty: &SqlType| blanks.clone().unwrap_or_else(|| ty.bare());
    for (arg, given) in candidate.args.iter().zip(given).filter(|(_, given)| **given != SqlType::Unknown) {
        match arg {
            T::AnyElement | T::AnyNonArray => merge(&mut any, bare(given)),
            T::AnyArray => element(given).into_iter().for_each(|ty| merge(&mut any, bare(&ty))),
            T::AnyCompatible => merge(&mut compatible, bare(given)),
            T::AnyCompatibleArray => element(given).into_iter().for_each(|ty| merge(&mut compatible, bare(&ty))),
            _ => {}
        }
    }
    let polymorphic = |arg: T, given: Option<&SqlType>| -> Option<SqlType> {
        match arg {
            T::AnyElement | T::AnyNonArray => any.clone(),
            T::AnyArray => any.clone().map(SqlType::array),
            T::AnyCompatible => compatible.clone().or(Some(SqlType::Text)),
            T::AnyCompatibleArray => compatible.clone().map(SqlType::array),
            T::Any | T::Record => match given {
                Some(SqlType::Unknown) => Some(SqlType::Text),
                other => other.cloned(),
            },
            T::Bpchar if blanks.is_some() => blanks.clone(),
            concrete => concrete.sql(),
        }
    };
    let args = candidate.args.iter().zip(given).map(|(arg, given)| polymorphic(*arg, Some(given)));
    let args: Option<Vec<SqlType>> = args.collect();
    let first_record = given.iter().find(|ty| matches!(ty, SqlType::Record(_)));
    match (args, polymorphic(candidate.function.result, first_record)) {
        (Some(args), Some(result)) => Choice::One { function: candidate.function, args, result },
        _ => Choice::None,
    }
}
