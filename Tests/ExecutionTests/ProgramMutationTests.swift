import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Programs that were broken in one place are refused before they run, for the right reason.
@Suite struct ProgramMutationTests {
  /// One way to break the programs of all ranks; false where there is nothing to break.
  struct Mutation: Sendable, CustomTestStringConvertible {
    let name: String
    /// What the refusal says.
    let phrase: String
    let plan: String
    let apply: @Sendable (inout [RankProgram]) -> Bool
    var testDescription: String { name }

    init(
      _ name: String, _ phrase: String, plan: String = Mutation.divided,
      _ apply: @escaping @Sendable (inout [RankProgram]) -> Bool
    ) {
      self.name = name
      self.phrase = phrase
      self.plan = plan
      self.apply = apply
    }

    /// Whole programs have no defect, broken ones the one that is told.
    func isRefused(by shape: IterationShape) throws {
      var programs = shape.programs()
      #expect(shape.defect(in: programs) == nil)
      #expect(apply(&programs), "nothing to break")
      let defect = try #require(shape.defect(in: programs))
      #expect("\(defect)".contains(phrase), "\(defect)")
    }

    static let divided = "tensor=2,pipeline=2,data=2,recompute=full,zero_stage=1,sequence_parallel=true"
    static let sharded = "tensor=2,data=4,zero_stage=3"
    static let zeroTwo = "tensor=2,data=4,zero_stage=2"
    static let plain = "tensor=2,data=4"
    static let levels = "data=8,weight_shards=2,gradient_shards=4,optimizer_shards=8"
    static let replicated = "data=8,weight_shards=2,gradient_shards=2,optimizer_shards=4"
    static let secondary = "data=8,zero_stage=3,secondary_shards=4"
    static let quantised = "data=8,zero_stage=3,secondary_shards=4,quantise_weights=true,quantise_gradients=true"
  }

  static let mutations = holders + waits + groups + collectives + transfers + passes + endings + levels + quantised

  /// Who runs, and who holds what.
  private static let holders: [Mutation] = {
    // Statement by statement: one literal of so many closures takes a compiler minutes.
    var all: [Mutation] = []
    all.append(
      Mutation("a rank is missing", "expected programs of ranks 0 to 7") {
        $0.removeLast()
        return true
      })
    all.append(
      Mutation("two ranks are exchanged", "expected programs of ranks 0 to 7") {
        $0.swapAt(0, 1)
        return true
      })
    all.append(Mutation("a layer is held by nobody", "layer 2 is held by nobody") { $0.removePart(.layer(2), of: [0]) })
    all.append(Mutation("the head is held by nobody", "head is held by nobody") { $0.removePart(.head, of: [5]) })
    all.append(
      Mutation("a layer is held twice", "layer 2 is held twice, by ranks 0 and 4") {
        $0[4].parts.append(.layer(2))
        return true
      })
    all.append(
      Mutation("a stage is off by one layer", "layer 4 is on stage 0 (rank 0), but belongs to stage 1") {
        for rank in 0..<4 { $0[rank].parts.append(.layer(4)) }
        return $0.removePart(.layer(4), of: [4, 5, 6, 7])
      })
    all.append(
      Mutation("two stages are exchanged", "embedding is on stage 1") {
        for rank in 0..<4 {
          let parts = $0[rank].parts
          $0[rank].parts = $0[rank + 4].parts
          $0[rank + 4].parts = parts
        }
        return true
      })
    return all
  }()

  /// Waits.
  private static let waits: [Mutation] = {
    var all: [Mutation] = []
    all.append(
      Mutation("a step waits for itself", "does not precede it on another stream") {
        $0.edit(1, where: \.isCollective) { _, index in .keep(waitsFor: [index]) }
      })
    all.append(
      Mutation("a step waits for a later one", "does not precede it on another stream") {
        $0.edit(1, where: \.isCollective) { _, index in .keep(waitsFor: [index + 1]) }
      })
    all.append(
      Mutation("a step waits for its own stream", "does not precede it on another stream") {
        $0.edit(1, where: { $0.isCompute(.updateParameters) }) { _, index in .keep(waitsFor: [0]) }
      })
    return all
  }()

  /// Groups.
  private static let groups: [Mutation] = {
    var all: [Mutation] = []
    all.append(
      Mutation("a tensor group of two replicas", "ranks 0, 2 are no group of the layout") {
        $0.editCollective(0, { $0.traffic == .tensor }) { $0.with(group: [0, 2]) }
      })
    all.append(
      Mutation("a data group in another order", "ranks 2, 0 are no group of the layout") {
        $0.editCollective(0, { $0.traffic == .data }) { $0.with(group: Array($0.group.reversed())) }
      })
    all.append(
      Mutation("a control group without a rank", "are no group of the layout") {
        $0.editCollective(0, { $0.traffic == .control }) { $0.with(group: Array($0.group.dropLast())) }
      })
    all.append(
      Mutation("an embedding group of inner stages", "are no group of the layout", plan: "pipeline=4,data=2") {
        $0.editCollective(0, { $0.traffic == .embedding }) { $0.with(group: [0, 2]) }
      })
    all.append(
      Mutation("a group of others", "rank 0 at step") {
        $0.editCollective(0, { $0.traffic == .tensor }) { $0.with(group: [2, 3]) }
      })
    return all
  }()

  /// Collectives.
  private static let collectives: [Mutation] = {
    var all: [Mutation] = []
    all.append(
      Mutation("another size on one rank", "the tensor has") {
        $0.editCollective(1, { $0.traffic == .tensor }) { $0.with(elementCount: $0.elementCount + 1) }
      })
    all.append(
      Mutation("another kind on one rank", "different collectives in one group") {
        $0.editCollective(1, { $0.operand == .branch }) { $0.with(kind: .allToAll) }
      })
    all.append(
      Mutation("a sum for a maximum", "different collectives in one group") {
        $0.editCollective(5, { $0.operand == .tokenMaximum }) { $0.with(reduction: .sum) }
      })
    all.append(
      Mutation("another route on one rank", "different collectives in one group") {
        $0.editCollective(1, { $0.traffic == .data }) { $0.with(route: .direct) }
      })
    all.append(
      Mutation("another width on one rank", "different collectives in one group") {
        $0.editCollective(1, { $0.traffic == .data }) { $0.with(elementByteCount: 1) }
      })
    all.append(
      Mutation("another order on one rank", "different collectives in one group") {
        $0.exchange(5, where: { $0.isCollective(.tokenTarget) || $0.isCollective(.tokenSum) })
      })
    all.append(
      Mutation("a collective is left out on one rank", "different collectives in one group") {
        $0.drop(1) { $0.isCollective(.branch) }
      })
    all.append(
      Mutation("a group's last collective is left out on one rank", "gradients of replicated parameters 0 times") {
        $0.drop(1) { $0.isCollective("gradients of replicated parameters") }
      })
    all.append(
      Mutation("a collective is called twice on one rank", "different collectives in one group") {
        $0.double(1) { $0.isCollective(.branch) }
      })
    // Where all ranks of a group agree, and the recipe has it otherwise.
    all.append(
      Mutation("a scatter is left out on all ranks", "embedding, micro-batch 0) comes where reduce-scatter of") {
        $0.drop(0) { $0.isCollective(.branch) } && $0.drop(1) { $0.isCollective(.branch) }
      })
    all.append(
      Mutation("a sum is left out on all ranks", "(branch) over ranks 0, 1 is due", plan: Mutation.plain) {
        $0.dropEverywhere { $0.isCollective(.branch) }
      })
    all.append(
      Mutation("a sum is called for twice on all ranks", "(branch) over ranks 0, 1) comes where", plan: Mutation.plain)
      {
        $0.double(0) { $0.isCollective(.branch) } && $0.double(1) { $0.isCollective(.branch) }
      })
    all.append(
      Mutation("two sums are exchanged on all ranks", "(target logits) over ranks 4, 5 is due") {
        let isLogit: (ProgramStep) -> Bool = { $0.isCollective(.tokenTarget) || $0.isCollective(.tokenSum) }
        return $0.exchange(4, where: isLogit) && $0.exchange(5, where: isLogit)
      })
    all.append(
      Mutation("a sum after all passes", "comes where no step of a pass is due", plan: Mutation.plain) {
        $0.appendCopy(0) { $0.isCollective(.branch) } && $0.appendCopy(1) { $0.isCollective(.branch) }
      })
    all.append(
      Mutation("a sum for a maximum on all ranks", "(largest logits) over ranks 4, 5) should be a maximum") {
        $0.editEverywhere({ $0.isCollective(.tokenMaximum) }) { $0.with(reduction: .sum) }
      })
    return all
  }()

  /// Transfers.
  private static let transfers: [Mutation] = {
    var all: [Mutation] = []
    all.append(Mutation("a send is dropped", "is sent by nobody") { $0.drop(0, where: \.isSend) })
    all.append(Mutation("the last send is dropped", "is sent by nobody") { $0.dropLast(0, where: \.isSend) })
    all.append(Mutation("a receive is dropped", "sent by nobody") { $0.drop(4, where: \.isReceive) })
    all.append(Mutation("the last receive is dropped", "is received by nobody") { $0.dropLast(4, where: \.isReceive) })
    all.append(
      Mutation("a send goes astray", "the neighbour in the pipeline is rank 4") {
        $0.editTransfer(0, isSend: true) { $0.with(peer: 5) }
      })
    all.append(
      Mutation("a receive waits for another rank", "the neighbour in the pipeline is rank 0") {
        $0.editTransfer(4, isSend: false) { $0.with(peer: 1) }
      })
    all.append(
      Mutation("a send is too short", "different sizes of one collective") {
        $0.editTransfer(0, isSend: true) { $0.with(elementCount: $0.elementCount - 1) }
      })
    all.append(
      Mutation("a send of another micro-batch", "is sent by nobody") {
        $0.editTransfer(0, isSend: true) {
          $0.with(target: PipelineStep(pass: .forward, microBatchIndex: 1))
        }
      })
    all.append(Mutation("two sends are exchanged", "is sent by nobody") { $0.exchange(0, where: \.isSend) })
    return all
  }()

  /// Passes.
  private static let passes: [Mutation] = {
    var all: [Mutation] = []
    all.append(
      Mutation("a pass does not begin", "but the schedule says F0.0") {
        $0.drop(0) { if case .compute(.beginPass) = $0.operation { true } else { false } }
      })
    all.append(
      Mutation("a pass does not end", "but the schedule says F0.0") {
        $0.drop(0) { if case .compute(.endPass) = $0.operation { true } else { false } }
      })
    all.append(
      Mutation("two passes are exchanged", "but the schedule says") {
        $0.exchange(0, where: { if case .compute(.beginPass) = $0.operation { true } else { false } })
      })
    all.append(
      Mutation("a pass runs twice", "but the schedule says there is none") {
        $0.appendCopy(0) { if case .compute(.beginPass) = $0.operation { true } else { false } }
      })
    all.append(
      Mutation("a forward piece is left out", "attention core of layer 0 is not computed in F0.0") {
        $0.drop(0) { $0.isCompute(.forward(.attentionCore, .layer(0), microBatch: 0)) }
      })
    all.append(
      Mutation("a forward piece is repeated", "is computed twice") {
        $0.double(0) { $0.isCompute(.forward(.attentionCore, .layer(0), microBatch: 0)) }
      })
    all.append(
      Mutation("a backward piece is left out", "feed-forward norm of layer 1 is not computed in B0.0") {
        $0.drop(0) { $0.isCompute(.backward(.feedForwardNorm, .layer(1), microBatch: 0)) }
      })
    all.append(
      Mutation("a layer does not run again", "feed-forward core of layer 1 is not computed in B0.0") {
        $0.drop(0) { $0.isCompute(.recompute(.feedForwardCore, .layer(1), microBatch: 0)) }
      })
    all.append(
      Mutation("the loss is left out", "loss of head is not computed in F0.0") {
        $0.drop(4) { $0.isCompute(.forward(.loss, .head, microBatch: 0)) }
      })
    all.append(
      Mutation("layers are exchanged", "is not computed in F0.0") {
        $0.edit(0, where: { $0.isCompute(.forward(.attentionNorm, .layer(0), microBatch: 0)) }) { _, _ in
          .operation(.compute(.forward(.attentionNorm, .layer(1), microBatch: 0)))
        }
      })
    all.append(
      Mutation("another stage's layer is computed", "does not hold layer 7") {
        $0.edit(0, where: { $0.isCompute(.forward(.attentionNorm, .layer(0), microBatch: 0)) }) { _, _ in
          .operation(.compute(.forward(.attentionNorm, .layer(7), microBatch: 0)))
        }
      })
    all.append(
      Mutation("another micro-batch is computed", "micro-batch 1) is computed twice") {
        $0.edit(0, where: { $0.isCompute(.forward(.attentionNorm, .layer(0), microBatch: 0)) }) { _, _ in
          .operation(.compute(.forward(.attentionNorm, .layer(0), microBatch: 1)))
        }
      })
    return all
  }()

  /// The end of an iteration.
  private static let endings: [Mutation] = {
    var all: [Mutation] = []
    all.append(
      Mutation("gradients are not averaged", "averages gradients over no replicas, but 2 are summed") {
        $0.drop(3) { $0.isCompute(.averageGradients(replicaCount: 2)) }
      })
    all.append(
      Mutation("gradients are twice too large", "averages gradients over 1 replicas, but 2 are summed") {
        $0.edit(3, where: { $0.isCompute(.averageGradients(replicaCount: 2)) }) { _, _ in
          .operation(.compute(.averageGradients(replicaCount: 1)))
        }
      })
    all.append(
      Mutation("gradients are averaged twice", "averages gradients over 2, 2 replicas") {
        $0.double(3) { $0.isCompute(.averageGradients(replicaCount: 2)) }
      })
    all.append(
      Mutation("the norm is not summed", "sums the scalars 0 times") { $0.drop(2) { $0.isCompute(.sumScalars) } })
    all.append(
      Mutation("gradients are not clipped", "clips the gradient 0 times") {
        $0.drop(2) { $0.isCompute(.clipGradients) }
      })
    all.append(
      Mutation("parameters are not updated", "updates the parameters 0 times") {
        $0.drop(2) { $0.isCompute(.updateParameters) }
      })
    all.append(
      Mutation("parameters are updated twice", "updates the parameters 2 times") {
        $0.double(2) { $0.isCompute(.updateParameters) }
      })
    all.append(
      Mutation("scalars stay apart", "all-reduce of scalars 0 times") {
        $0.dropEverywhere { $0.isCollective("scalars") }
      })
    all.append(
      Mutation("gradients of tokens stay apart", "gradients of replicated parameters 0 times") {
        $0.dropEverywhere { $0.isCollective("gradients of replicated parameters") }
      })
    all.append(
      Mutation("the tied matrix stays apart", "gradient of the tied matrix 0 times") {
        $0.dropEverywhere { $0.isCollective("gradient of the tied matrix") }
      })
    all.append(
      Mutation("replicas stay apart", "all-reduce of gradients 0 times", plan: Mutation.plain) {
        $0.dropEverywhere { $0.isCollective("gradients") }
      })
    all.append(
      Mutation(
        "gradients stay scattered", "all-reduce of gradients 0 times in an iteration, not 1", plan: Mutation.plain
      ) {
        $0.editEverywhere({ $0.isCollective("gradients") }) { $0.with(kind: .reduceScatter) }
      })
    all.append(
      Mutation("updated weights stay scattered", "all-gather of weights 0 times") {
        $0.dropEverywhere { $0.isCollective("weights") }
      })
    all.append(
      Mutation(
        "ZeRO 2: updated weights stay scattered",
        "all-gather of updated weights of layer 3 over gradients shards 0 times",
        plan: Mutation.zeroTwo
      ) {
        $0.dropEverywhere { $0.isCollective("updated weights of layer 3 over gradients shards") }
      })
    all.append(
      Mutation("ZeRO 2: a gradient is not reduced", "reduce-scatter of gradient of layer 3", plan: Mutation.zeroTwo) {
        $0.drop(0) { $0.isCollective("gradient of layer 3 over gradients shards") }
      })
    all.append(
      Mutation(
        "ZeRO 3: weights are gathered once too seldom", "all-gather of weights of layer 3", plan: Mutation.sharded
      ) {
        $0.drop(0) { $0.isCollective("weights of layer 3") }
      })
    all.append(
      Mutation(
        "ZeRO 3: weights are gathered once too often", "all-gather of weights of layer 3", plan: Mutation.sharded
      ) {
        $0.double(0) { $0.isCollective("weights of layer 3") }
      })
    return all
  }()

  @Test func thereAreManyKinds() { #expect(Set(Self.mutations.map(\.name)).count >= 50) }

  @Test(arguments: mutations)
  func aBrokenProgramIsRefusedForTheRightReason(mutation: Mutation) throws {
    try mutation.isRefused(by: Self.shape(mutation.plan))
  }

  static func shape(_ pattern: String) throws -> IterationShape {
    let isTied = pattern.contains("pipeline")
    return try Miniature(
      of: SmallPlans.plan(pattern, .gpt, isTied: isTied, deviceCount: 8), rankLimit: 64
    ).shape
  }
}
