use std::time::Duration;

use gantry_runtime::{LINE_BYTES_MAX, Stream};
use gantry_types::Timestamp;

use crate::harness::Test;
use crate::machine::Machine;
use crate::sink;

pub(crate) const TESTS: &[Test] = &[
    ("output::each_line_is_stamped_and_kept_apart_by_stream", each_line_is_stamped_and_kept_apart_by_stream),
    ("output::the_last_words_of_a_short_life_are_kept", the_last_words_of_a_short_life_are_kept),
    ("output::a_line_without_end_appears_after_a_quiet_time", a_line_without_end_appears_after_a_quiet_time),
    ("output::ten_megabytes_and_giant_lines_are_complete", ten_megabytes_and_giant_lines_are_complete),
    ("output::a_full_sink_loses_lines_but_never_blocks", a_full_sink_loses_lines_but_never_blocks),
];

fn each_line_is_stamped_and_kept_apart_by_stream() {
    let machine = Machine::new();
    let before = Timestamp::now();
    let (_, out) = machine.run(&machine.spec(&["say", "to", "stdout"]));
    let (_, err) = machine.run(&machine.spec(&["complain", "to", "stderr"]));
    let after = Timestamp::now();
    for (lines, stream, text) in [(out, Stream::Stdout, "to stdout"), (err, Stream::Stderr, "to stderr")] {
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!((lines[0].stream, lines[0].text.as_str()), (stream, text));
        assert!(before <= lines[0].at && lines[0].at <= after, "{lines:?}");
    }
}

fn the_last_words_of_a_short_life_are_kept() {
    let machine = Machine::new();
    for round in 0..20 {
        let text = format!("round {round}");
        let (record, lines) = machine.run(&machine.spec(&["say", &text]));
        assert_eq!(record.output_lines_lost, 0);
        assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), [text]);
    }
}

fn a_line_without_end_appears_after_a_quiet_time() {
    let machine = Machine::new();
    let spec = machine.spec(&["partial", "prompt>"]);
    let started = machine.start(&spec);
    let line = machine.wait_for_line(&spec, "prompt>");
    // Stamped when it was read, not when it was given up on.
    assert!(line.at.since(started.started_at) < Duration::from_secs(5), "{line:?}");
}

fn ten_megabytes_and_giant_lines_are_complete() {
    let machine = Machine::new();
    let (record, lines) = machine.run(&machine.spec(&["lines", "100000", "104"]));
    assert_eq!((record.exit_code, record.output_lines_lost, lines.len()), (Some(0), 0, 100_000));
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line.text, format!("{index:0104}"));
    }
    assert!(lines.windows(2).all(|pair| pair[0].at <= pair[1].at), "times go back");

    let width = LINE_BYTES_MAX * 2 + 10;
    let (_, lines) = machine.run(&machine.spec(&["lines", "2", &width.to_string()]));
    let lengths: Vec<usize> = lines.iter().map(|line| line.text.len()).collect();
    assert_eq!(lengths, [LINE_BYTES_MAX, LINE_BYTES_MAX, 10, LINE_BYTES_MAX, LINE_BYTES_MAX, 10]);
}

fn a_full_sink_loses_lines_but_never_blocks() {
    let machine = Machine::new();
    let mut spec = machine.spec(&["lines", "10000", "100"]);
    spec.output.bytes_max = 50 * 100;
    let (record, lines) = machine.run(&spec);
    assert_eq!((record.exit_code, record.output_lines_lost, lines.len()), (Some(0), 9950, 50));
    assert_eq!(lines, sink::read(&spec.output.path));
}
