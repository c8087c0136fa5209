import Documents
import Foundation
import JSONText
import TestSupport
import Testing

/// What is wrong is one line on standard error and an exit code, and nothing on standard output.
@Suite struct BadInputTests {
  @Test(arguments: [
    (["plan", "--clutser", "dgx-a100-1"], "Did you mean '--cluster'?"),
    (["nothing"], "nothing"),
    (["plan", "--model", "gpt2", "--global-batch", "8"], "--cluster is needed"),
    (["plan", "--cluster", "dgx-a100-1", "--global-batch", "8"], "--model or --job is needed"),
    (["plan", "--cluster", "dgx-a100-1", "--model", "gpt2"], "--global-batch is needed"),
    (["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "many"], "many"),
    (["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "1e30"], "1e30"),
    (["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "99999999999999999999"], "999999"),
    (["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch"], "--global-batch"),
    (["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "8", "--top", "0"], "--top"),
    (["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "8", "--threads", "0"], "--threads"),
    (["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "8", "--nodes", "0"], "--nodes"),
    (
      ["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "8", "--time-limit", "0"],
      "--time-limit"
    ),
    (
      ["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "8", "--time-limit", "nan"],
      "--time-limit"
    ),
    (
      ["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "8", "--time-limit", "inf"],
      "--time-limit"
    ),
    (
      ["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "8", "--precision", "fp8"], "--precision"
    ),
    (["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "8", "--job", "job.json"], "--job"),
    (
      ["estimate", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "8"],
      "--strategy, --configuration and --runs"
    ),
    (["estimate", "--runs", "runs.jsonl", "--cluster", "dgx-a100-1"], "--runs"),
    (["explain"], "<file>"),
    (["explain", "a.json", "b.json"], "b.json"),
    (["plan", "--cluster", "line\nbreak", "--nonsense\nbreak"], "nonsense"),
  ])
  func whatTheCommandLineDoesNotKnowIsAMistakeOfUsage(arguments: [String], phrase: String) async throws {
    try await Workspace().sextant(arguments).failed(64, phrase, "sextant --help")
  }

  @Test(arguments: [
    (["--cluster", "dgx-a10-1"], "did you mean \"dgx-a100-1\"?"),
    (["--cluster", "elsewhere-and-nowhere"], "known: a100-hdr-16, "),
    (["--cluster", ""], "no cluster is called \"\""),
    (["--cluster", "missing.json"], "missing.json: No such file or directory"),
    (["--cluster", "./"], "./: is a directory"),
    (["--cluster", "/dev/null"], "/dev/null: line 1, column 1: the text is empty"),
    (["--model", "gpt3-175"], "did you mean \"gpt3-175b\"?"),
    (["--model", "missing/config.json"], "missing/config.json: No such file or directory"),
    (["--model", "next\u{85}line\u{1B}[2J"], #"next\u0085line\u001b[2J"#),
    (["--model", String(repeating: "n", count: 100_000)], "nnn…\""),
    (["--global-batch", "0"], "--global-batch: expected an integer from 1 to"),
    (["--global-batch", "999999999999"], "--global-batch: expected an integer from 1 to"),
    (["--sequence", "0"], "--sequence: expected an integer from 1 to"),
    (["--sequence", "2048"], "longer than the 1024 positions of model gpt2"),
    (["--fix", "tenosr=8"], "unknown key \"tenosr\", did you mean \"tensor\"?"),
    (["--fix", "tp=2"], "--fix: unknown key \"tp\", did you mean \"tensor\"?"),
    (["--fix", "tensor=0"], "--fix: /tensor: expected an integer from 1 to"),
    (["--fix", "tensor=1e30"], "--fix: /tensor: expected an integer from 1 to"),
    (["--fix", "tensor=99999999999999999999"], "--fix: /tensor"),
    (["--fix", "tensor"], "expected KEY=VALUE,KEY=VALUE…, found \"tensor\""),
    (["--fix", "tensor=2,tensor=4"], "the key \"tensor\" is given twice"),
    (["--fix", "recompute=some"], "--fix: /recompute: expected one of"),
    (["--fix", "moe_dispatcher=post"], "--fix: /moe_dispatcher: expected one of"),
    (["--framework", "fairscale"], "fairscale"),
  ])
  func whatCannotBeMeantIsBadInput(replaced: [String], phrase: String) async throws {
    var options = ["--cluster": "dgx-a100-1", "--model": "gpt2", "--global-batch": "16"]
    options[replaced[0]] = replaced[1]
    let arguments = ["plan"] + options.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] }
    let run = try await Workspace().sextant(arguments)
    run.failed(65, phrase)
    #expect(run.errors.count < 700)
  }

  @Test(arguments: [
    ("tp=8,pp=2", "unknown key \"tp\", did you mean \"tensor\"?"),
    ("tensor=3", "is 6 ranks, not the 8 devices; would work with tensor=2 or tensor=4 instead of tensor=3\n"),
    (
      "tensor=8",
      "tensor degree 8 does not divide the 12 attention heads; would work with tensor=4 instead of tensor=8\n"
    ),
    (
      "data=8,micro_batch=3",
      "global batch 16 does not divide into data degree 8 × micro-batch 3; 24 does; would work with"
    ),
    (
      "data=2,micro_batch=3,tensor=4",
      "data degree 2 × micro-batch 3; 12 and 18 do; would work with micro_batch=2 or micro_batch=4 instead of"
    ),
    (
      "tensor=2,data=8",
      "is 16 ranks, not the 8 devices; would work with tensor=1 instead of tensor=2, or data=4 instead of data=8\n"
    ),
    ("pipeline=2,virtual_stages=8", "12 layers are too few for 16 interleaved chunks"),
    ("sequence_parallel=true", "sequence parallelism needs a tensor degree"),
    ("tensor=1048576,pipeline=1048576,data=1048576", "ranks, not the 8 devices"),
  ])
  func aStrategyThatCannotBeRunIsBadInput(strategy: String, phrase: String) async throws {
    try await Workspace().sextant(
      "estimate", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", "--strategy", strategy
    ).failed(65, "--strategy: ", phrase)
  }

  @Test func aDeviceWithoutAPrecisionIsNamed() async throws {
    try await Workspace().sextant(
      "plan", "--cluster", "v100-edr-16", "--model", "gpt2", "--global-batch", "128", "--precision", "bf16"
    ).failed(65, "v100-sxm2-32gb does not compute in bf16")
  }

  @Test func expertParallelismNeedsExperts() async throws {
    try await Workspace().sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", "--fix", "expert=2"
    ).failed(2, "parts of expert parallelism without experts", "would work with expert=1 instead of expert=2")
  }

  @Test(arguments: [
    ("/nodes", JSON.integer(0), "/nodes: expected an integer from 1 to"),
    ("/nodes", .number(1e30), "/nodes: expected an integer from 1 to"),
    ("/nodes", .integer(5), "the outermost level spans 32 devices, but the cluster has 40"),
    ("/devices_per_node", .integer(-8), "/devices_per_node: expected an integer"),
    ("/devices_per_node", .string("eight"), "/devices_per_node: expected an integer"),
    ("/levels", .array([]), "32 devices need a level of links"),
    ("/levels/1/bytes_per_second", .number(-25e9), "/levels/1/bytes_per_second: expected a positive number"),
    ("/levels/1/bytes_per_second", .number(1e-300), "/levels/1/bytes_per_second: expected a positive number"),
    ("/levels/1/bytes_per_second", .string("fast"), "found \"fast\""),
    ("/levels/1/byts_per_second", .number(25e9), "unknown key \"byts_per_second\""),
    ("/nodse", .integer(4), "unknown key \"nodse\""),
    ("/schema", .string("sextant.cluster/2"), "/schema: expected \"sextant.cluster/1\""),
    ("/device", .string("h100-sxm5-80bg"), "did you mean \"h100-sxm5-80gb\"?"),
    ("/device/datasheet/memory_bytes", .integer(0), "/device/datasheet/memory_bytes"),
  ])
  func aClusterThatCannotBeIsRefusedWithItsPlace(pointer: String, value: JSON, phrase: String) async throws {
    let folder = try Workspace()
    try folder.write(Shipped.catalog.cluster("dgx-a100-4").json.replacing(pointer, with: value), to: "mine.json")
    try await folder.sextant("plan", "--cluster", "mine.json", "--model", "gpt2", "--global-batch", "16")
      .failed(65, "sextant: mine.json: ", phrase)
  }

  @Test(arguments: [
    ("/layers", JSON.number(1e30), "/layers: expected an integer from 1 to"),
    ("/layers", .integer(0), "/layers: expected an integer from 1 to"),
    ("/heads", .integer(5), "5 heads cannot share 12 key-value heads evenly"),
    ("/kv_heads", .integer(5), "12 heads cannot share 5 key-value heads evenly"),
    ("/family", .string("rnn"), "/family: expected one of"),
    ("/gated_mlp", .integer(1), "/gated_mlp: expected true or false"),
  ])
  func aModelThatCannotBeIsRefusedWithItsPlace(pointer: String, value: JSON, phrase: String) async throws {
    let folder = try Workspace()
    try folder.write(Shipped.catalog.model("gpt2").json.replacing(pointer, with: value), to: "mine.json")
    try await folder.sextant("plan", "--cluster", "dgx-a100-1", "--model", "mine.json", "--global-batch", "16")
      .failed(65, "sextant: mine.json: ", phrase)
  }

  @Test(arguments: [
    ("", "the text is empty"),
    ("{\"schema\": ", "unexpected end of the text, expected a value"),
    ("{\"a\": 1, \"a\": 2}", "line 1, column 10: duplicate key \"a\""),
    ("{\n  \"nodes\": NaN}", "line 2, column 12: expected a value, found \"NaN\""),
    ("{\"nodes\": 1e999}", "number out of range"),
    ("{} {}", "expected the end of the text"),
    ("[1]", "expected an object, found [1]"),
    ("// comment", "comments are not allowed in JSON"),
    (String(repeating: "[", count: 100_000), "nested deeper than 64"),
  ])
  func brokenJSONIsRefusedWithItsLine(text: String, phrase: String) async throws {
    let folder = try Workspace()
    try folder.write(text, to: "mine.json")
    try await folder.sextant("plan", "--cluster", "mine.json", "--model", "gpt2", "--global-batch", "16")
      .failed(65, "sextant: mine.json: ", phrase)
    try await folder.sextant("explain", "mine.json").failed(65, "sextant: mine.json: ", phrase)
  }

  @Test func aFileThatMayNotBeReadIsBadInput() async throws {
    // Who may read everything reads this as well.
    guard getuid() != 0 else { return }
    let folder = try Workspace()
    try folder.write("{}", to: "secret.json")
    try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: folder.file("secret.json"))
    try await folder.sextant("explain", "secret.json").failed(65, "secret.json: Permission denied")
  }

  @Test func aFileWithoutEndIsRefusedAndNotRead() async throws {
    try await Workspace().sextant("explain", "/dev/zero").failed(65, "/dev/zero: is larger than")
  }
}
