import Documents
import JSONText
import TestSupport
import Testing

@testable import Costing
@testable import Documents

/// Between which shares of the memory a framework's runs are risky.
@Suite struct MemoryLimitTests {
  @Test func aFrameworksOwnSharesCountBeforeTheDevices() throws {
    var own = Fixture.framework()
    own.memory.comfortableFraction = 0.5
    own.memory.limitFraction = 0.7
    let job = try Fixture.job(Fixture.gpt())
    for (framework, fits, risky) in [(Fixture.framework(), 64, 76), (own, 40, 56)] {
      let memory = Fixture.memory(job, Strategy(mesh: [:]), framework: framework)
      #expect(memory.limitBytes(.fits) == fits * 1_000_000_000)
      #expect(memory.limitBytes(.risky) == risky * 1_000_000_000)
      #expect(memory.verdict(peakBytes: fits * 1_000_000_000 + 1) == .risky)
      #expect(memory.verdict(peakBytes: risky * 1_000_000_000 + 1) == .unfit)
    }
  }

  /// A band of a few tenths of a per cent, narrower than what predictions are off by, says of no run that it may fail.
  @Test func theRiskyBandIsWiderThanTheErrorOfAPrediction() throws {
    for name in Shipped.catalog.names(of: .device) {
      let device = try Shipped.catalog.device(name)
      for framework in device.frameworks {
        let width = device.limitFraction(of: framework) - device.comfortableFraction(of: framework)
        #expect(width >= 0.08, "\(name), \(framework.name)")
      }
    }
  }

  /// Llama 3 70B on 32 H100 with gradients in bf16: with five chunks a stage a third to half of the runs failed, with ten
  /// all passed.
  @Test(arguments: [(5, Prediction.Verdict.risky), (10, .fits)])
  func runsThatSometimesFailAreRiskyAndThoseThatPassFit(chunkCount: Int, verdict: Prediction.Verdict) throws {
    let cluster = try ClusterDescription(
      name: "h100", device: Shipped.catalog.device("h100-sxm5-80gb"), nodeNames: (0..<4).map { "n\($0)" },
      devicesPerNode: 8,
      levels: [
        .init(name: "nvlink", span: 8, bytesPerSecond: 450e9),
        .init(name: "net", span: 32, bytesPerSecond: 50e9, sharedBytesPerSecond: 400e9),
      ])
    let job = try TrainingJob(
      model: Shipped.catalog.model("llama-3-70b"), sequenceLength: 4096, globalBatch: 32,
      accumulatesGradientsInFP32: false)
    let pattern = try StrategyPattern(
      text: """
        tensor=4,pipeline=4,data=2,virtual_stages=\(chunkCount),micro_batch=1,zero_stage=1,sequence_parallel=true
        """, source: "test")
    let model = try CostModel(cluster: cluster, job: job, frameworkName: "megatron-lm")
    let prediction = try Estimate(model: model, pattern: pattern).prediction
    #expect(prediction.verdict == verdict, "\(prediction.peakBytes)")
  }

  /// Runs that succeeded below half of the memory do not make the limit, however many there are: of 40 above it, one in
  /// fifty is beyond the limit.
  @Test func theLimitIsOfRunsThatComeNearIt() throws {
    let low = (0..<150).map { 0.1 + 0.001 * Double($0) }
    let high = (1...40).map { 0.5 + 0.01 * Double($0) }
    let late = (1...40).map { 0.7 + 0.01 * Double($0) }
    let profile = try Self.fitted(succeeded: low + high, failed: late)
    let megatron = try #require(profile.framework(named: "megatron-lm"))
    // The second and third of 40: one in twenty below, and of those that succeeded one in fifty above.
    #expect(abs(profile.comfortableFraction(of: megatron) - 0.73) < 0.006)
    #expect(abs(profile.limitFraction(of: megatron) - 0.9) < 0.006)
    // Those of no other framework moved.
    let base = try Shipped.catalog.device("a100-sxm4-80gb")
    #expect(profile.memory.limitFraction == base.memory.limitFraction)
    #expect(profile.framework(named: "nemo")?.memory == base.framework(named: "nemo")?.memory)
    // Few runs tell nothing.
    let few = try Self.fitted(succeeded: [0.6, 0.7] + low.prefix(20), failed: [0.9])
    #expect(few.framework(named: "megatron-lm")?.memory.limitFraction == nil)
  }

  /// The A100 profile after a fit to runs whose predicted peaks are these shares of the memory, and measured as predicted.
  private static func fitted(succeeded: [Double], failed: [Double]) throws -> DeviceProfile {
    let device = try Shipped.catalog.device("a100-sxm4-80gb")
    let shares = succeeded.map { ($0, true) } + failed.map { ($0, false) }
    let runs = try shares.enumerated().map { (index, run) throws -> MeasuredRun in
      // The vocabulary decides the peak: a matrix and its states.
      func record(vocabulary: Int, measured: String) throws -> MeasuredRun {
        let text = """
          {"schema": "sextant.run/1", "id": "run-\(index)", "family": "invented", "framework": "Megatron-LM",
           "model": {"name": "gpt", "family": "gpt", "layers": 2, "hidden": 1024, "heads": 8, "kv_heads": 8,
             "ffn_hidden": 4096, "vocab": \(vocabulary), "gated_mlp": false, "tied_embeddings": true},
           "sequence_length": 128, "global_batch": 8, "precision": "bf16",
           "cluster": {"device": "\(device.name)", "nodes": 1, "devices_per_node": 1, "intra_bytes_per_second_per_device": 3e11},
           "strategy": {"tensor": 1, "pipeline": 1, "data": 1, "micro_batch": 1, "zero_stage": 0, "recompute": "none",
             "flash_attention": true},
           "measured": \(measured)}
          """
        return try MeasuredRun(parse(Array(text.utf8), source: "run"))
      }
      func peaks(_ vocabulary: Int) throws -> (reported: Int, largest: Int) {
        let record = try record(vocabulary: vocabulary, measured: #"{"iteration_seconds": 1}"#)
        return try RunWorkload(record, catalog: Shipped.catalog).peakBytes(device: device)
      }
      let wanted = run.0 * Double(device.datasheet.memoryBytes)
      let few = try Double(peaks(128).largest), many = try Double(peaks(1_280_000).largest)
      let vocabulary = 128 * max(1, Int((wanted - few) / (many - few) * 10_000))
      let bytes = try peaks(vocabulary).reported
      let measured = run.1 ? "{\"peak_bytes\": \(bytes)}" : #"{"failed": true}"#
      return try record(vocabulary: vocabulary, measured: measured)
    }
    return try Calibration(
      runs: runs, device: device, catalog: Shipped.catalog, parts: [.memory], threadCount: 2
    ).run(folds: nil).profile
  }

  // MARK: DeepSpeed

  /// Its own buffers, and not what Megatron-DeepSpeed's trials before BLOOM kept.
  @Test func deepSpeedHasCoefficientsOfItsOwn() throws {
    for name in Shipped.catalog.names(of: .device) {
      let device = try Shipped.catalog.device(name)
      let own = try #require(device.framework(named: "deepspeed"), "\(name)")
      // Two buffers of 500 million gradients of 16 bits.
      #expect(own.memory.reservedBytes == 2_000_000_000)
      #expect(own.bucketBytes == 1e9)
    }
  }
}
