//! Patterns as data: the events that each matches, and those that it does not.

use super::*;

#[track_caller]
fn check(pattern: &str, matching: &[&str], others: &[&str]) {
    let parsed = Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    for message in matching {
        assert!(parsed.matches(message), "{pattern} shall match {message}");
    }
    for message in others {
        assert!(!parsed.matches(message), "{pattern} shall not match {message}");
    }
}

#[track_caller]
fn check_refused(pattern: &str, message: &str) {
    let error = Pattern::parse(pattern).err().unwrap_or_else(|| panic!("{pattern} is accepted"));
    assert!(error.to_string().contains(message), "{pattern}: {error}");
}

#[test]
fn nothing_asked_is_everything() {
    for pattern in ["", "  ", "\" \""] {
        check(pattern, &["", "anything", "{}"], &[]);
    }
}

#[test]
fn words_stand_anywhere_in_their_own_case() {
    check("ERROR", &["[ERROR 400] BAD", "xERRORx"], &["error", ""]);
    check("ERROR ARGUMENTS", &["[ERROR 419] MISSING ARGUMENTS", "ARGUMENTS ERROR"], &["ERROR", "ARGUMENTS"]);
    check("\"INTERNAL SERVER ERROR\"", &["x INTERNAL SERVER ERROR"], &["INTERNAL ERROR SERVER"]);
    check(r#""say \"hi\"" "back\\slash""#, &[r#"say "hi" back\slash"#], &["say hi back\\slash"]);
    check("größe", &["die größe"], &["grösse"]);
    check("status_code", &["status_code=1"], &["status code"]);
}

#[test]
fn words_may_be_unwanted_or_optional() {
    check("ERROR -EXIT", &["ERROR here"], &["ERROR EXIT", "EXIT", "x"]);
    check("-EXIT", &["anything"], &["EXIT"]);
    check("-\"exit code\" -b", &["exit a code"], &["the exit code", "b"]);
    check("?ERROR ?WARN", &["ERROR", "a WARN"], &["INFO"]);
    // AWS leaves optional words out where others are asked for.
    check("?ERROR WARN", &["WARN"], &["ERROR"]);
    check("?ERROR -WARN", &["INFO"], &["ERROR WARN"]);
}

#[test]
fn regexes_stand_between_percent_signs() {
    check("%AUTHORIZED%", &["UNAUTHORIZED REQUEST", "AUTHORIZED"], &["authorized"]);
    check("%^colou?r$%", &["color", "colour"], &["colours"]);
    check(r"%10\.10\.0\.[0-9]{1,3}%", &["from 10.10.0.17"], &["10x10.0.1"]);
    check(r"%gr[ae]y|wh\S+e% -%\x28%", &["grey", "a white b"], &["grey (", "green"]);
    check("?%a+% ?b", &["aa", "b"], &["c"]);
}

#[test]
fn members_of_json_are_compared() {
    let event = r#"{"eventType":"UpdateTrail","source":{"ip":"123.123.1.1"},"status":404,"took":1.5e1,"ok":false,
        "none":null,"code":"404","users":[{"id":1,"email":"John.Stiles@example.com"},{"id":2}],"tags":["a","b"],"a.b":7,
        "detail-type":"x","object":{"k":1}}"#;
    for pattern in [
        r#"{ $.eventType = "UpdateTrail" }"#,
        "{ $.eventType = UpdateTrail }",
        r#"{$.eventType="Update*"}"#,
        "{ $.source.ip = 123.123.* }",
        "{ $.source.ip != 10.* }",
        r"{ $.source.ip = %^123\.% }",
        "{ $.status = 404 }",
        "{ $.status = 404.0 }",
        "{ $.status = 4* }",
        "{ $.status >= 4e2 && $.status < 500 }",
        "{ $.took = 15 }",
        "{ $.took > -1 }",
        "{ $.ok IS FALSE }",
        "{ $.ok is false }",
        "{ $.ok = false }",
        "{ $.none IS NULL }",
        "{ $.missing NOT EXISTS }",
        r#"{ $.code = "404" }"#,
        "{ $.code = 404 }",
        "{ $.users[0].id = 1 }",
        "{ $.users[*].id = 2 }",
        "{ $.users[1].email NOT EXISTS }",
        "{ $.tags[1] = b }",
        "{ $.tags[*] = \"b\" }",
        "{ $['a.b'] = 7 }",
        "{ $.['a.b'] = 7 }",
        "{ $.detail-type = x }",
        "{ $.source.* = 123.123.1.1 }",
        "{ $.status = \"*\" }",
        "{ ($.status = 1 || $.eventType = UpdateTrail) && $.took = 15 }",
        // Closer is `&&`.
        "{ $.status = 404 || $.status = 1 && $.status = 2 }",
        "{ (($.status = 404)) }",
    ] {
        check(pattern, &[event], &["no JSON", "{", ""]);
    }
    for pattern in [
        "{ $.eventType = updatetrail }",
        "{ $.status = \"404\" }",
        "{ $.status != 404 }",
        "{ $.status > 404 }",
        "{ $.missing != 1 }",
        "{ $.missing IS NULL }",
        "{ $.none NOT EXISTS }",
        "{ $.none = \"*\" }",
        "{ $.object = \"*\" }",
        "{ $.tags = \"*\" }",
        "{ $.users[7].id = 1 }",
        "{ $.source[0] = 1 }",
        "{ $.code > 1 }",
        "{ ($.status = 404 || $.status = 1) && $.status = 2 }",
    ] {
        check(pattern, &[], &[event]);
    }
}

#[test]
fn fields_of_lines_are_compared() {
    let apache = r#"127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#;
    for pattern in [
        "[ip, user, username, timestamp, request, status_code, bytes]",
        "[ip, user, username, timestamp, request =*.html*, status_code = 4*, bytes]",
        "[ip=%127\\.0\\.0\\.[1-9]%, user, username, timestamp, request, status_code, bytes > 1000]",
        "[..., status_code = 404 || status_code = 410, bytes]",
        "[..., bytes <= 1534]",
        "[ip, ..., bytes >= 1534.0]",
        "[...]",
        "[..., username = frank, ...]",
        "[ip, user = \"Prod\", ...]",
        "[..., timestamp = \"10/Oct/2000:13:25:15 -0700\", ..., status_code > 400 && status_code < 500, bytes]",
        "[ip != 10.*, ...]",
        "[..., (status_code = 404 || status_code = 410) && status_code != 403, bytes]",
    ] {
        check(pattern, &[apache], &[]);
    }
    for pattern in [
        "[ip, user]",
        "[ip, user, username, timestamp, request, status_code, bytes, more]",
        "[..., status_code = 5*, bytes]",
        "[..., bytes > 1534]",
        "[..., bytes = 15]",
        "[ip, user = prod, ...]",
        "[..., request > 1, status_code, bytes]",
        "[..., frank = x, ...]",
    ] {
        check(pattern, &[], &[apache]);
    }
    check("[a, b]", &["one two", "[one more] two", "\"one more\" two"], &["one", "one more two", ""]);
    // The second `b` is the one that `c` comes behind.
    check("[..., w = b, v = c]", &["a b b c"], &["a b c d"]);
    check("[w1=ERROR || w1=%WARN%, w2]", &["ERROR x", "aWARNb x"], &["INFO x", "ERROR"]);
}

#[test]
fn what_is_no_pattern_is_refused() {
    for (pattern, message) in [
        ("a:b", "Invalid character(s) in term ':'"),
        ("?Status: timeout", "Invalid character(s) in term ':'"),
        ("(x)", "Invalid character(s) in term '('"),
        ("\"\"", "Invalid character(s) in term '\"\"'"),
        ("\"open", "Invalid character(s) in term '\"open'"),
        ("-", "The pattern ends too early"),
        ("%a(b)%", "Invalid character(s) in term '('"),
        ("%a b%", "Invalid character(s) in term ' '"),
        ("%ü%", "Invalid character(s) in term 'ü'"),
        ("%!%", "Invalid character(s) in term '!'"),
        ("%%", "Invalid character(s) in term '%%'"),
        ("%[%", "Invalid regex '['"),
        ("%a{1000}{1000}{1000}%", "Invalid regex"),
        ("%open", "Invalid character(s) in term '%'"),
        ("{ $.a = 1", "If a filter pattern starts with '{' it must end with '}'"),
        ("[a, b", "If a filter pattern starts with '[' it must end with ']'"),
        ("{", "must end with"),
        ("{ }", "The pattern ends too early"),
        ("{ a = 1 }", "Invalid character(s) in term 'a'"),
        ("{ $ = 1 }", "Invalid character(s) in term ' '"),
        ("{ $.\"a\" = 1 }", "Invalid character(s) in term '\"'"),
        ("{ $.a }", "The pattern ends too early"),
        ("{ $.a == 1 }", "Invalid character"),
        ("{ $.a > b }", "Only numbers are greater or less than others"),
        ("{ $.a > \"1\" }", "Only numbers are greater or less than others"),
        ("{ $.a > inf }", "Only numbers"),
        ("{ $.a = 1 && }", "The pattern ends too early"),
        ("{ $.a = 1 ) }", "Invalid character(s) in term ')'"),
        ("{ $.a IS MAYBE }", "Invalid character(s) in term 'M'"),
        ("{ $.a NOT THERE }", "Invalid character(s) in term 'T'"),
        ("{ $.a[*].b[*] = 1 }", "at most 1 wildcard"),
        ("{ $.a[*] = 1 || $.b[*] = 1 || $.c.* = 1 || $.d.* = 1 }", "a pattern at most 3"),
        ("{ $.a = %a% || $.a = %b% || $.a = %c% }", "at most 2 regexes"),
        ("{ $.a[x] = 1 }", "Invalid character(s) in term 'x'"),
        ("{ $.a[99999999999999999999] = 1 }", "Invalid character"),
        ("[a = 1 && b = 2]", "Invalid character(s) in term 'b'"),
        ("[a,,b]", "Invalid character(s) in term ','"),
        ("[]", "The pattern ends too early"),
        ("[a = %x%, b = %x%, c = %x%]", "at most 2 regexes"),
    ] {
        check_refused(pattern, message);
    }
    check_refused(&"a".repeat(1025), "at most 1024 characters");
    check_refused(&format!("{{ {}$.a = 1{} }}", "(".repeat(400), ")".repeat(400)), "too many parentheses");
}

#[test]
fn hostile_events_are_matched_in_little_time() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    check("{ $.a = 1 }", &[], &[&deep]);
    let wide = "a ".repeat(200_000);
    check("[..., b, ...]", &[], &[&wide]);
    let fields = "a ".repeat(9_999);
    let began = std::time::Instant::now();
    check("[..., x = a, ..., x = a, ..., x = a, y = b]", &[], &[&fields]);
    check(r"%a*a*a*a*a*b%", &[], &[&"a".repeat(100_000)]);
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}
