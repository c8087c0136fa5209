import Documents
import Training

extension ProgramMutationTests {
  /// Shard degrees and the secondary copy.
  static let levels: [Mutation] = {
    var all: [Mutation] = []
    all.append(
      Mutation("a reduction over the ranks of another level", "ranks 0, 4 are no group", plan: Mutation.levels) {
        $0.editCollective(0, { "\($0.operand)" == "gradient of layer 1 over gradients shards" }) {
          $0.with(group: [0, 4])
        }
      })
    all.append(
      Mutation("a shard as large as the whole", "the tensor has", plan: Mutation.levels) {
        $0.editCollective(0, { "\($0.operand)" == "gradient of layer 1 over gradients shards" }) {
          $0.with(elementCount: 2 * $0.elementCount)
        }
      })
    all.append(
      Mutation(
        "a level is left out in a micro-batch", "reduce-scatter of gradient of layer 1 over gradients shards",
        plan: Mutation.levels
      ) { $0.drop(3) { $0.isCollective("gradient of layer 1 over gradients shards") } })
    all.append(
      Mutation(
        "shards are not reduced at the step", "reduce-scatter of gradient of layer 1 over optimizer shards 0 times",
        plan: Mutation.levels
      ) { $0.dropEverywhere { $0.isCollective("gradient of layer 1 over optimizer shards") } })
    all.append(
      Mutation(
        "shards are reduced in every micro-batch", "over optimizer shards 2 times in an iteration, not 1",
        plan: Mutation.levels
      ) { $0.double(3) { $0.isCollective("gradient of layer 1 over optimizer shards") } })
    all.append(
      Mutation(
        "updated shards stay scattered", "all-gather of updated weights of layer 1 over optimizer shards 0 times",
        plan: Mutation.levels
      ) { $0.dropEverywhere { $0.isCollective("updated weights of layer 1 over optimizer shards") } })
    all.append(
      Mutation(
        "replicas of a shard stay apart", "all-reduce of gradient of layer 1 over replicas 0 times",
        plan: Mutation.replicated
      ) { $0.dropEverywhere { $0.isCollective("gradient of layer 1 over replicas") } })
    all.append(
      Mutation("a mean of one level only", "averages gradients over 4 replicas, but 8", plan: Mutation.replicated) {
        $0.edit(3, where: { $0.isCompute(.averageGradients(replicaCount: 8)) }) { _, _ in
          .operation(.compute(.averageGradients(replicaCount: 4)))
        }
      })
    all.append(
      Mutation("a secondary slice is not kept", "does not fit the secondary weights", plan: Mutation.secondary) {
        $0.drop(2) { $0.isCompute(.keepSecondary(.layer(1))) }
      })
    all.append(
      Mutation("a secondary slice is kept twice", "does not fit the secondary weights", plan: Mutation.secondary) {
        $0.double(2) { $0.isCompute(.keepSecondary(.layer(1))) }
      })
    all.append(
      Mutation("old secondary slices stay", "does not fit the secondary weights", plan: Mutation.secondary) {
        $0.drop(2) { $0.isCompute(.dropSecondary) }
      })
    all.append(
      Mutation("secondary slices go too soon", "does not fit the secondary weights", plan: Mutation.secondary) {
        $0.edit(2, where: { $0.isCompute(.dropWeights(.layer(1))) }) { _, _ in .operation(.compute(.dropSecondary)) }
      })
    all.append(
      Mutation("a secondary copy that is not the plan's", "does not fit the secondary weights", plan: Mutation.sharded)
      {
        $0.edit(2, where: { $0.isCompute(.dropWeights(.layer(1))) }) { _, _ in
          .operation(.compute(.keepSecondary(.layer(1))))
        }
      })
    all.append(
      Mutation("weights cross nodes again", "all-gather of", plan: Mutation.secondary) { programs in
        guard let first = try? shape(Mutation.secondary).exchanges(at: .firstUse).first else { return false }
        return programs.editEverywhere({ $0.isCollective("secondary weights of layer 1") }) {
          $0.with(operand: .exchanged(first, .layer(1), nil), group: Array(0..<8))
        }
      })
    return all
  }()

  /// Quantised gathers and exchanges.
  static let quantised: [Mutation] = {
    var all: [Mutation] = []
    all.append(
      Mutation("weights travel as they are", "all-gather of weights of layer 1", plan: Mutation.quantised) { programs in
        guard let count = try? shape(Mutation.quantised).parameterCount(of: .layer(1))
        else { return false }
        return programs.editEverywhere({ $0.isCollective("weights of layer 1") }) {
          $0.with(elementCount: count, elementByteCount: 2, quantisation: .some(nil))
        }
      })
    all.append(
      Mutation("secondary slices are quantised", "secondary weights of layer 1 as INT8", plan: Mutation.quantised) {
        $0.editEverywhere({ $0.isCollective("secondary weights of layer 1") }) { $0.with(quantisation: .weights) }
      })
    all.append(
      Mutation("no steps for the codes", "the tensor has", plan: Mutation.quantised) {
        $0.editCollective(1, { "\($0.operand)" == "weights of layer 1" }) {
          $0.with(elementCount: $0.elementCount - $0.group.count)
        }
      })
    all.append(
      Mutation(
        "gradients stay in their node", "all-to-all of node's gradient of layer 1 over weights shards as INT4 0 times",
        plan: Mutation.quantised
      ) { $0.dropEverywhere { $0.isCollective("node's gradient of layer 1 over weights shards") } })
    all.append(
      Mutation(
        "gradients are not summed in their node",
        "all-to-all of gradient of layer 1 over weights shards as INT4 0 times",
        plan: Mutation.quantised
      ) { $0.dropEverywhere { $0.isCollective("gradient of layer 1 over weights shards") } })
    all.append(
      Mutation("an exchange in the wrong order", "ranks 0, 4 are no group", plan: Mutation.quantised) {
        $0.editCollective(0, { "\($0.operand)" == "gradient of layer 1 over weights shards" }) {
          $0.with(group: [0, 4])
        }
      })
    return all
  }()
}
