use super::*;
use crate::limits::Limits;

fn read(text: &str) -> Result<Instruction, String> {
    let lines = crate::build::lines::parse(text, &Limits::default()).map_err(|error| error.to_string())?;
    parse(&lines.lines[0], lines.escape).map_err(|error| error.to_string())
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn instructions_are_understood() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let exec = |words: &[&str]| Command::Exec(strings(words));
    let shell = |text: &str| Command::Shell(text.into());
    let from = |image: &str, platform: Option<&str>, name: Option<&str>| Instruction::From {
        image: image.into(),
        platform: platform.map(str::to_owned),
        name: name.map(str::to_owned),
    };
    let transfer = |sources: &[&str], destination: &str| Transfer {
        sources: strings(sources),
        destination: destination.into(),
        from: None,
        owner: None,
        mode: None,
    };
    let flagged = Transfer {
        from: Some("b".into()),
        owner: Some("1:2".into()),
        mode: Some("0644".into()),
        ..transfer(&["x", "y"], "/z/")
    };
    let check = HealthCheck {
        command: Some(exec(&["x"])),
        interval: Some(90_000_000_000),
        timeout: Some(1_500_000_000),
        start_period: None,
        start_interval: None,
        retries: Some(3),
    };
    #[rustfmt::skip]
    let table = [
        ("FROM a", from("a", None, None)),
        ("from --platform=linux/amd64 a as Build", from("a", Some("linux/amd64"), Some("build"))),
        ("COPY a b /c", Instruction::Copy(transfer(&["a", "b"], "/c"))),
        ("COPY [\"a b\", \"c\"]", Instruction::Copy(transfer(&["a b"], "c"))),
        ("COPY [abc] d", Instruction::Copy(transfer(&["[abc]"], "d"))),
        ("COPY --link --from=b --chown=1:2 --chmod=0644 x y /z/", Instruction::Copy(flagged)),
        ("ADD a.tar /", Instruction::Add(transfer(&["a.tar"], "/"))),
        ("ENV a=1 b='2 3' c=\\ d", Instruction::Env(vec![pair("a", "1"), pair("b", "'2 3'"), pair("c", "\\ d")])),
        ("ENV a  1 = 2", Instruction::Env(vec![pair("a", "1 = 2")])),
        ("ENV a=", Instruction::Env(vec![pair("a", "")])),
        ("LABEL \"a b\"=c", Instruction::Label(vec![pair("\"a b\"", "c")])),
        ("ARG a b=1 c=\"d e\"", Instruction::Arg(vec![
            ("a".into(), None), ("b".into(), Some("1".into())), ("c".into(), Some("\"d e\"".into()))])),
        ("EXPOSE 80  443/tcp", Instruction::Expose(strings(&["80", "443/tcp"]))),
        ("USER a:b", Instruction::User("a:b".into())),
        ("WORKDIR /a b", Instruction::WorkDir("/a b".into())),
        ("CMD [\"a\", \"b c\"]", Instruction::Cmd(exec(&["a", "b c"]))),
        ("CMD [ 'a' ]", Instruction::Cmd(shell("[ 'a' ]"))),
        ("CMD a  \"b\" $c", Instruction::Cmd(shell("a  \"b\" $c"))),
        ("CMD []", Instruction::Cmd(exec(&[]))),
        ("ENTRYPOINT [\"\\u0061\"]", Instruction::Entrypoint(exec(&["a"]))),
        ("SHELL [\"/bin/bash\",\"-c\"]", Instruction::Shell(strings(&["/bin/bash", "-c"]))),
        ("STOPSIGNAL SIGQUIT", Instruction::StopSignal("SIGQUIT".into())),
        ("VOLUME /a /b", Instruction::Volume(strings(&["/a", "/b"]))),
        ("VOLUME [\"/a b\"]", Instruction::Volume(strings(&["/a b"]))),
        ("HEALTHCHECK none", Instruction::HealthCheck(HealthCheck {
            command: None, interval: None, timeout: None, retries: None, ..check.clone() })),
        ("HEALTHCHECK --interval=1m30s --timeout=1.5s --retries=3 CMD [\"x\"]", Instruction::HealthCheck(check)),
        ("MAINTAINER a b", Instruction::Maintainer("a b".into())),
        ("RUN --mount=type=cache x", Instruction::Foreign),
        ("ONBUILD RUN x", Instruction::Foreign),
    ];
    for (text, expected) in table {
        assert_eq!(read(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    #[rustfmt::skip]
    let table = [
        ("FRM a", "line 1: unknown instruction FRM"), ("\n\nFROM", "line 3: FROM needs an argument"),
        ("FROM a b", "FROM needs an image"), ("FROM a AS 1", "cannot name a stage"),
        ("FROM a AS scratch", "cannot name a stage"), ("FROM --x=y a", "no flag --x"),
        ("COPY a", "at least one source"), ("COPY --form=x a b", "COPY has no flag --form"),
        ("COPY --parents a b", "--parents is not supported"), ("COPY --chown a b", "--chown needs a value"),
        ("COPY --link=1 a b", "true or false"), ("COPY --from=a --from=b c d", "twice"),
        ("ADD --from=a b c", "ADD has no flag --from"), ("ADD --checksum=x a b", "not supported"),
        ("COPY <<EOF /a", "here-document"), ("COPY [1]", "nothing but strings"),
        ("COPY [\"a\", 1]", "nothing but strings"), ("CMD [1]", "nothing but strings"),
        ("CMD --x y", "CMD has no flag --x"), ("ENV a", "needs a name and a value"), ("ENV a=b c", "\"c\" has no ="),
        ("ENV =b", "no name"), ("ARG =b", "no name"), ("SHELL /bin/sh", "JSON list"), ("SHELL []", "JSON list"),
        ("STOPSIGNAL a b", "one signal"), ("HEALTHCHECK x", "needs CMD"), ("HEALTHCHECK CMD", "needs a command"),
        ("HEALTHCHECK --interval=5 CMD x", "not a duration"), ("HEALTHCHECK --interval=1us CMD x", "less than 1ms"),
        ("HEALTHCHECK --retries=-1 CMD x", "not a number"), ("HEALTHCHECK --x=1 CMD x", "no flag --x"),
    ];
    for (text, expected) in table {
        let error = read(text).expect_err(text);
        assert!(error.contains(expected), "{text} gives: {error}");
    }
}

#[test]
fn durations_are_those_of_go() {
    let table =
        [("0", 0), ("1s", 1_000_000_000), ("1h2m3s", 3_723_000_000_000), ("1.5ms", 1_500_000), ("5ns", 5)];
    for (text, expected) in table {
        assert_eq!(duration_nanoseconds(text), Some(expected), "{text}");
    }
    for text in ["", "1", "s", "1x", "-1s", "1s1", "99999999999h", "1..2s"] {
        assert_eq!(duration_nanoseconds(text), None, "{text}");
    }
}
