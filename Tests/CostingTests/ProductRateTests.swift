import Documents
import TestSupport
import Testing

@testable import Costing

/// Which units multiply: matrix units in 16 bits or in TF32, or ordinary cores.
@Suite struct ProductRateTests {
  /// A device of 100 TFLOP/s in 16 bits, 10 in fp32 and, where asked for, 50 in TF32.
  private static func device(tf32: Double = 0, multipliesInTF32: Bool = false) -> DeviceProfile {
    var framework = Fixture.framework()
    framework.multipliesInTF32 = multipliesInTF32
    var device = Fixture.device(tf32FLOPPerSecond: tf32, framework: framework)
    device.compute.unalignedPeakFraction = 0.5
    return device
  }

  private static func cost(
    _ device: DeviceProfile, precision: Precision, headSize: Int = 64
  ) throws -> (seconds: Double, iteration: Double, utilization: Double) {
    let model = try ModelDescription(
      name: "heads", family: .gpt, layerCount: 2, hiddenSize: 512, headCount: 8, keyValueHeadCount: 8,
      headSize: headSize, feedForwardSize: 2048, vocabularySize: 1024, hasGatedFeedForward: false,
      hasTiedEmbeddings: false, hasDropout: false)
    let cost = try CostModel(
      cluster: Fixture.node(of: 1, device: device),
      job: Fixture.job(model, sequenceLength: 256, globalBatch: 1, precision: precision))
    let prediction = try Estimate(model: cost, pattern: StrategyPattern(text: "flash_attention=false", source: "test"))
      .prediction
    return (
      prediction.timeSplit.computeSeconds, prediction.iterationSeconds, prediction.modelFLOPUtilization
    )
  }

  // MARK: TF32

  @Test func fp32RunsInTF32WhereTheFrameworkDoesSoAndTheDeviceCan() throws {
    let plain = try Self.cost(Self.device(tf32: 50e12), precision: .fp32)
    let asked = try Self.cost(Self.device(tf32: 50e12), precision: .tf32)
    let habit = try Self.cost(Self.device(tf32: 50e12, multipliesInTF32: true), precision: .fp32)
    let unable = try Self.cost(Self.device(multipliesInTF32: true), precision: .fp32)
    #expect(asked.seconds < plain.seconds)
    #expect(habit == asked)
    #expect(unable == plain)
    // Utilisation is of the units that multiply: five times the peak.
    #expect(agrees(asked.utilization * asked.iteration * 5, plain.utilization * plain.iteration, relative: 1e-9))
  }

  @Test func aDeviceWithoutTF32RefusesIt() {
    #expect(throws: CostModel.Refusal.noPrecision(device: "round", precision: .tf32)) {
      try Self.cost(Self.device(), precision: .tf32)
    }
  }

  /// Weights, gradients and optimizer are those of fp32, and attention has no fused kernel.
  @Test func tf32KeepsFP32Numbers() {
    #expect(Precision.tf32.byteCount == 4)
    #expect(!Precision.tf32.hasMasterWeights)
    #expect(!Self.device(tf32: 50e12).hasFlashAttention(in: .tf32))
  }

  /// A100 and later have the rate, and V100 has none.
  @Test func shippedProfilesHaveTheRate() throws {
    for name in ["a100-sxm4-80gb", "a100-sxm4-40gb", "a800-sxm4-80gb"] {
      #expect(try Shipped.catalog.device(name).datasheet.tf32FLOPPerSecond == 156e12, "\(name)")
    }
    for name in ["h100-sxm5-80gb", "h200-sxm5-141gb", "h800-sxm5-80gb"] {
      #expect(try Shipped.catalog.device(name).datasheet.tf32FLOPPerSecond == 494.5e12, "\(name)")
    }
    #expect(try Shipped.catalog.device("v100-sxm2-32gb").datasheet.tf32FLOPPerSecond == 0)
  }

  // MARK: Head sizes

  /// Seconds that two layers' attention products add, by head size: FLOP of forward and backward over the rate.
  @Test(arguments: [
    // 16 bits: multiples of 8 run on matrix units.
    (Precision.fp16, 104, true), (.fp16, 100, false), (.fp16, 102, false),
    // TF32: multiples of 4.
    (.tf32, 100, true), (.tf32, 102, false),
    // Ordinary cores take what comes.
    (.fp32, 102, true),
  ])
  func rowsThatMatrixUnitsCannotLoadAreMultipliedByOrdinaryCores(
    precision: Precision, headSize: Int, isAligned: Bool
  ) throws {
    let device = Self.device(tf32: 50e12)
    var fast = device
    fast.compute.unalignedPeakFraction = 1
    let slow = try Self.cost(device, precision: precision, headSize: headSize).seconds
    let difference = slow - (try Self.cost(fast, precision: precision, headSize: headSize).seconds)
    // Half of 10 TFLOP/s and all of it: 2 layers · 3 passes · 2 products · 2 s² d · 8 heads.
    let flop = 2.0 * 3 * 2 * 2 * 256 * 256 * Double(headSize) * 8
    #expect(agrees(difference, isAligned ? 0 : flop / 5e12 - flop / 10e12, relative: 1e-6), "\(difference)")
  }

  /// GPT-2 1.5B with 16 heads of 100 on 64 V100: its publishers trained 153.6 million samples in less than two weeks,
  /// 1.98 samples a second and device.
  @Test func headsOf100OnV100AreNotSlowerThanPublished() throws {
    let model = try ModelDescription(
      name: "gpt2-1.5b", family: .gpt, layerCount: 48, hiddenSize: 1600, headCount: 16, keyValueHeadCount: 16,
      headSize: 100, feedForwardSize: 6400, vocabularySize: 50257, hasGatedFeedForward: false,
      hasTiedEmbeddings: true, hasDropout: true)
    let cluster = try ClusterDescription(
      name: "v100", device: Shipped.catalog.device("v100-sxm2-32gb"), nodeNames: (0..<8).map { "n\($0)" },
      devicesPerNode: 8,
      levels: [
        .init(name: "nvlink", span: 8, bytesPerSecond: 150e9),
        .init(name: "net", span: 64, bytesPerSecond: 12.5e9, sharedBytesPerSecond: 50e9),
      ])
    let job = try TrainingJob(
      model: model, sequenceLength: 1024, globalBatch: 1536, precision: .fp16, accumulatesGradientsInFP32: false)
    let prediction = try Estimate(
      model: CostModel(cluster: cluster, job: job, frameworkName: "megatron-deepspeed"),
      pattern: StrategyPattern(text: "zero_stage=1,micro_batch=8,recompute=full", source: "test")
    ).prediction
    #expect(prediction.tokensPerSecondPerDevice >= 1_950)
    // With 25 heads of 64 it is faster by less than half.
    #expect(prediction.tokensPerSecondPerDevice < 3_473)
  }
}
