import Documents
import TestSupport
import Testing

@testable import Costing
@testable import Training

/// What short windows and narrow heads take of a fused attention kernel.
@Suite struct AttentionShapeTests {
  private static func core(head: Int = 128, visible: Double = 1, windowed: Double = 0) -> FusedAttention {
    FusedAttention(
      tokenCount: 4_096, sequenceLength: 4_096, headCount: 8, width: 8 * head, valueWidth: 8 * head, isCausal: true,
      visibleFraction: visible, windowedShare: windowed)
  }

  private static func seconds(_ core: FusedAttention, share: Double = 0, keys: Double = 0) throws -> Double {
    let device = try Shipped.catalog.device("gb200-186gb")
    var framework = try #require(device.framework(named: "megatron-bridge"))
    (framework.attentionNarrowHeadShare, framework.attentionWindowKeys) = (share, keys)
    let job = try TrainingJob(model: Shipped.catalog.model("llama-3-8b"), sequenceLength: 4_096, globalBatch: 1)
    return ComputeRates(DeviceSpeed(device, precision: .bf16), framework: framework, job: job).forwardSeconds(core)
  }

  /// A head of 64 numbers takes as long a FLOP as one of 128, and the share that its width does not save once more.
  @Test func narrowHeadsSaveNoExponentials() throws {
    let whole = try Self.seconds(Self.core()), narrow = try Self.seconds(Self.core(head: 64))
    #expect(agrees(2 * narrow, whole, relative: 1e-12))
    #expect(try agrees(Self.seconds(Self.core(head: 64), share: 0.5), 1.5 * narrow, relative: 1e-12))
    #expect(try agrees(Self.seconds(Self.core(head: 32), share: 0.5), 2.5 * whole / 4, relative: 1e-12))
    // Wider heads are no faster than those that were measured.
    for head in [128, 192] {
      #expect(try Self.seconds(Self.core(head: head), share: 0.5) == Self.seconds(Self.core(head: head)))
    }
  }

  /// In every second layer a window of 128 of 4,096 tokens, which see 2,048 in the mean without: with 480 keys beside, a query takes
  /// 608 there.
  @Test func windowsTakeKeysBeside() throws {
    let window = Self.core(visible: (1 + 128.0 / 2_048) / 2, windowed: 0.5), whole = Self.core()
    #expect(agrees(window.forwardFLOP / whole.forwardFLOP, (1 + 128.0 / 2_048) / 2, relative: 1e-12))
    let ratio = try Self.seconds(window, keys: 480) / Self.seconds(whole, keys: 480)
    #expect(agrees(ratio, (1 + 608.0 / 2_048) / 2, relative: 1e-12))
    // No more than all that a causal kernel sees, and nothing where nothing is windowed.
    #expect(try Self.seconds(window, keys: 1e6) == Self.seconds(whole))
    #expect(try Self.seconds(whole, keys: 480) == Self.seconds(whole))
  }

  /// In FP8 latent attention's heads of 192 take what the device says, and those of 128 what they took; where a layer multiplies as
  /// it is stored, attention does.
  @Test func attentionInFP8() throws {
    func recipe(_ model: String, _ isNarrow: Bool, _ wide: WideLayers = .none) throws -> Recipe {
      var job = try TrainingJob(
        model: Shipped.catalog.model(model), sequenceLength: 4_096, globalBatch: 64, precision: .mxfp8
      ).with(wide)
      job.narrowsAttention = isNarrow
      var strategy = Strategy(mesh: [.data: 64])
      (strategy.usesFlashAttention, strategy.expertDegree) = (true, job.model.experts == nil ? 1 : 64)
      return Recipe(job: job, strategy: strategy, vocabularySize: job.model.vocabularySize)
    }
    func seconds(_ recipe: Recipe) throws -> Double {
      let device = try Shipped.catalog.device("gb300-288gb")
      let framework = try #require(device.framework(named: "megatron-bridge"))
      let job = try TrainingJob(model: Shipped.catalog.model("llama-3-8b"), sequenceLength: 4_096, globalBatch: 1)
      let rates = ComputeRates(DeviceSpeed(device, precision: .mxfp8), framework: framework, job: job)
      return Account(recipe, .block, .forward, on: rates).attentionSeconds
    }
    let wide = try seconds(recipe("deepseek-v3", false))
    #expect(try agrees(seconds(recipe("deepseek-v3", true)), 0.724 * wide, relative: 1e-12))
    #expect(try seconds(recipe("llama-3-8b", true)) == seconds(recipe("llama-3-8b", false)))
    let ends = try recipe("deepseek-v3", true, WideLayers(first: 1, last: 0))
    #expect(try seconds(#require(ends.wide)) == wide)
    var job = try TrainingJob(
      model: Shipped.catalog.model("llama-3-8b"), sequenceLength: 4_096, globalBatch: 64, precision: .mxfp8)
    job.narrowsAttention = true
    #expect(Capabilities.megatronLM.refusal(of: job)?.description.contains("no argument for attention in FP8") == true)
  }

  /// GPT-OSS has both: heads of 64, and windows of 128 in every second layer.
  @Test func aModelIsPricedByItsShape() throws {
    let job = try TrainingJob(
      model: Shipped.catalog.model("gpt-oss-120b"), sequenceLength: 4_096, globalBatch: 64)
    var strategy = Strategy(mesh: [.data: 64])
    (strategy.usesFlashAttention, strategy.expertDegree) = (true, 64)
    let recipe = Recipe(job: job, strategy: strategy, vocabularySize: job.model.vocabularySize)
    let cores = recipe.steps(.expertBlock, .forward).flatMap { step -> [FusedAttention] in
      guard case .piece(_, let operations) = step else { return [] }
      return operations.compactMap { if case .fusedAttention(let core, _) = $0 { core } else { nil } }
    }
    let core = try #require(cores.first)
    #expect(cores.count == 1 && core.headSize == 64 && core.headCount == 64 && core.windowedShare == 0.5)
    // Of causal heads of 128 the same FLOP take less by these two.
    let ratio = try Self.seconds(core, share: 0.5, keys: 480) / Self.seconds(core)
    #expect(ratio > 1.5 * 1.2 && ratio < 1.5 * 1.25, "\(ratio)")
  }
}
