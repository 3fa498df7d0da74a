//! The calls that there are.

use http::{Method, StatusCode};

use super::problem::Problem;

/// A call of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Status,
    Health,
    Why,
    Claims,
    Metrics,
    Logs,
    Events,
    Document,
    Stop,
    Restart,
    EndRolling,
    Scale,
    Reload,
    Rotate,
    LogStats,
}

/// How a call is made.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) route: Route,
}

const fn get(path: &'static str, route: Route) -> Call {
    Call {
        method: Method::GET,
        path,
        route,
    }
}

const fn post(path: &'static str, route: Route) -> Call {
    Call {
        method: Method::POST,
        path,
        route,
    }
}

/// Every call. `GET` never changes anything; everything else does.
pub(crate) const CALLS: &[Call] = &[
    get("/status", Route::Status),
    get("/health", Route::Health),
    get("/why", Route::Why),
    get("/claims", Route::Claims),
    get("/metrics", Route::Metrics),
    get("/logs", Route::Logs),
    get("/logs/stats", Route::LogStats),
    get("/events", Route::Events),
    get("/openapi.json", Route::Document),
    post("/stop", Route::Stop),
    post("/restart", Route::Restart),
    post("/restart/abort", Route::EndRolling),
    post("/scale", Route::Scale),
    post("/reload", Route::Reload),
    post("/logs/rotate", Route::Rotate),
];

/// Every call, by its method and path.
pub fn calls() -> impl Iterator<Item = (&'static Method, &'static str)> {
    CALLS.iter().map(|call| (&call.method, call.path))
}

impl Route {
    /// The call that is made so.
    pub(crate) fn find(method: &Method, path: &str) -> Result<Self, Problem> {
        // Every path has one method.
        let call = CALLS.iter().find(|call| call.path == path);
        let call = call.ok_or_else(|| unknown(path))?;
        if call.method == method {
            Ok(call.route)
        } else {
            Err(Problem::method_not_allowed(&call.method))
        }
    }
}

fn unknown(path: &str) -> Problem {
    let calls = CALLS
        .iter()
        .map(|call| format!("{} {}", call.method, call.path));
    let calls: Vec<String> = calls.collect();
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("there is no {path} here; there are {}", calls.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found() {
        let check = |method: Method, path: &str, expect: Result<Route, (u16, Option<&str>)>| {
            let found = Route::find(&method, path);
            let found = found.as_ref().map(|route| *route).map_err(|problem| {
                let allow = problem.allow.as_ref().map(Method::as_str);
                (problem.status().as_u16(), allow)
            });
            assert_eq!(found, expect, "{method} {path}");
        };
        check(Method::GET, "/status", Ok(Route::Status));
        check(Method::POST, "/restart/abort", Ok(Route::EndRolling));
        check(Method::POST, "/status", Err((405, Some("GET"))));
        check(Method::GET, "/scale", Err((405, Some("POST"))));
        check(Method::GET, "/", Err((404, None)));
        check(Method::GET, "/status/", Err((404, None)));
    }

    #[test]
    fn every_path_has_one_method() {
        for (index, call) in CALLS.iter().enumerate() {
            let twice = CALLS[..index].iter().any(|other| other.path == call.path);
            assert!(!twice, "{}", call.path);
        }
    }
}
