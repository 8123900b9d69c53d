//! Scratch.
use engine_core::*;
use engine_mlx::MlxModel;
use std::time::Instant;
fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap();
    let n: usize = args.next().unwrap().parse().unwrap();
    let chunk: usize = args.next().unwrap().parse().unwrap();
    let compute = match args.next().unwrap().as_str() {
        "f32" => ComputeType::F32,
        "f16" => ComputeType::F16,
        "bf16" => ComputeType::Bf16,
        "stored" => ComputeType::Stored,
        _ => ComputeType::Auto,
    };
    let mode = args.next().unwrap();
    let mut request = LoadRequest::new(&path);
    request.options.compute = compute;
    request.options.device = DeviceChoice::Cpu;
    let begun = Instant::now();
    let mut model = MlxModel::load(&request, &Progress::silent()).unwrap();
    eprintln!("load {:?} {:?}", begun.elapsed(), model.memory());
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let tokens: Vec<u32> = line
            .split_whitespace()
            .map(|t| t.parse().unwrap())
            .collect();
        let s = model.open().unwrap();
        let begun = Instant::now();
        let mut logits = Logits::new();
        let last = (tokens.len() - 1) / chunk * chunk;
        for piece in tokens[..last].chunks(chunk) {
            model
                .forward(
                    &[Run {
                        sequence: s,
                        tokens: piece,
                        logits: LogitsWanted::None,
                    }],
                    &mut logits,
                )
                .unwrap();
        }
        let mut out = Vec::new();
        let prefill;
        let dec;
        if mode == "device" {
            let mut t = model
                .step_greedy(&[DeviceRun {
                    sequence: s,
                    input: DeviceInput::Tokens(&tokens[last..]),
                }])
                .unwrap()[0];
            let mut next = model
                .step_greedy(&[DeviceRun {
                    sequence: s,
                    input: DeviceInput::Chosen(t),
                }])
                .unwrap()[0];
            out.push(model.read_token(t).unwrap());
            prefill = begun.elapsed();
            let begun = Instant::now();
            let mut best = f64::MAX;
            while out.len() < n {
                let b = Instant::now();
                t = next;
                next = model
                    .step_greedy(&[DeviceRun {
                        sequence: s,
                        input: DeviceInput::Chosen(t),
                    }])
                    .unwrap()[0];
                out.push(model.read_token(t).unwrap());
                best = best.min(b.elapsed().as_secs_f64());
            }
            eprintln!("best step {:.1} ms", best * 1e3);
            model.discard_token(next);
            dec = begun.elapsed();
        } else {
            model
                .forward(
                    &[Run {
                        sequence: s,
                        tokens: &tokens[last..],
                        logits: LogitsWanted::Last,
                    }],
                    &mut logits,
                )
                .unwrap();
            let am = |l: &Logits| {
                let r = l.last(0).unwrap();
                let mut b = 0;
                for (i, x) in r.iter().enumerate() {
                    if *x > r[b] {
                        b = i;
                    }
                }
                b as u32
            };
            out.push(am(&logits));
            prefill = begun.elapsed();
            let begun = Instant::now();
            while out.len() < n {
                let t = [*out.last().unwrap()];
                model
                    .forward(
                        &[Run {
                            sequence: s,
                            tokens: &t,
                            logits: LogitsWanted::Last,
                        }],
                        &mut logits,
                    )
                    .unwrap();
                out.push(am(&logits));
            }
            dec = begun.elapsed();
        }
        eprintln!(
            "prefill {} tokens {:.3}s {:.1}/s; decode {} {:.3}s {:.2}/s; {:?}",
            tokens.len(),
            prefill.as_secs_f64(),
            tokens.len() as f64 / prefill.as_secs_f64(),
            n - 1,
            dec.as_secs_f64(),
            (n - 1) as f64 / dec.as_secs_f64(),
            model.memory()
        );
        println!(
            "{}",
            out.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
        );
        model.close(s).unwrap();
    }
}
