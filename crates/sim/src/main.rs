fn main() {
    let seed: u64 = std::env::args().nth(1).and_then(|t| t.parse().ok()).unwrap_or(1);
    let trace = std::env::args().nth(2).is_some();
    let options = gantry_sim::Options::default();
    let report = if trace { gantry_sim::run_traced(seed, options) } else { gantry_sim::run(seed, options) };
    println!("{report:#?}");
    if report.violation.is_some() && !trace {
        for line in gantry_sim::last_lines(seed, options) {
            println!("{line}");
        }
    }
}
