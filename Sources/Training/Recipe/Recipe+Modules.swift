import Documents

/// Recomputation of single modules of a block: for each of them, in the order of a forward pass, what forward does not keep
/// for backward and what is run again before it. Bytes kept, seconds and bytes sent all follow from these rows.
///
/// With T tokens, hidden size h, k experts of each token and f their width, F the dense width, f_s the shared one, a heads of
/// sizes n + r and v, e bytes a number, a token's bytes are (Megatron Core's `transformer_config.py`, `transformer_layer.py`
/// and `moe_layer.py`):
///
/// | module | not kept | run again |
/// |---|---|---|
/// | `core_attn` | fused: 4·a, otherwise scores, mask and what is left of them | the core, and the exchanges of a divided sequence |
/// | `moe_act` | k·f·e, the product | the activation |
/// | `layernorm` | h·e of each norm that is a kernel of its own | these norms |
/// | `mla_up_proj` | (2·a·(n + r) + a·v)·e; where keys and values go round ranks a·(n + r)·e | products of narrow vectors, rotation |
/// | `mlp` | 3·F·e in layers with one feed-forward part, 2·F·e without a gate | that part, with its collectives |
/// | `shared_experts` | 3·f_s·e | shared experts, with their collectives |
/// | `moe` | 9·E, (h + 3·f)·k·e and what shared experts keep | router, both ways of tokens, all experts |
///
/// What `mla_up_proj` gives is not given up where backward reads it as it has come in an exchange: keys and values that went
/// round, and all of it where sequences were exchanged for heads; unless `core_attn` exchanges it once more. Under sequence
/// parallelism the part of keys that all heads share is kept as it was gathered for it, r·e.
///
/// A norm before a product of a column-parallel layer is one kernel with it, whose output nothing can give up: what is a
/// kernel of its own is the norm before latent attention, and that before experts. What `moe` starts from is what that norm
/// gives, which stays.
extension Recipe {
  /// A module's row.
  private struct Module {
    let module: Strategy.RecomputeModules
    /// Whether it is of blocks with experts, or of those without; nil of both.
    var isOfExperts: Bool?
    /// What forward does not keep.
    let drops: [KeptTensor.Role]
    /// Appends what is run again.
    let again: @Sendable (Recipe, RoutedExperts?, inout [Step]) -> Void
  }

  private static let rows: [Module] = [
    Module(module: .norms, drops: [.latentInput]) { recipe, _, steps in
      guard recipe.latent != nil else { return }
      steps.append(.piece(.attentionNorm, [recipe.norm(.forward), .keep(recipe.attentionInput)]))
    },
    Module(module: .latentProjections, drops: [.queries, .keysValues]) { recipe, _, steps in
      // Narrow vectors are kept as they were gathered, but where queries are made of what is not narrow.
      if recipe.latent?.queryRank == nil {
        recipe.takeUp(.attentionNorm, unless: .norms, &steps)
        recipe.gatherRows(of: .branch, &steps)
      }
      steps.append(
        .piece(
          .attentionInput,
          recipe.attentionColumns.map { .product($0, .forward) } + recipe.rotation(.forward)
            + recipe.keep(recipe.keptByCore(.attention), isAgain: true, only: [.queries, .keysValues])))
    },
    Module(module: .attentionCore, drops: [.attentionScores, .attentionOutput]) { recipe, _, steps in
      if recipe.context.degree > 1 {
        recipe.takeUp(.attentionInput, unless: .latentProjections, &steps)
        recipe.dividedCoreForward(isAgain: true, &steps)
      } else {
        steps.append(
          .piece(.attentionCore, recipe.attentionCore(.forward) + [.keep(recipe.attentionScores)]))
      }
    },
    Module(module: .norms, isOfExperts: true, drops: [.expertsInput]) { recipe, _, steps in
      steps.append(
        .piece(
          .feedForwardNorm,
          // Where the router is run again, it keeps what it reads.
          (recipe.hasNorm(.feedForward) ? [recipe.norm(.forward)] : [])
            + (recipe.modules.contains(.experts) ? [] : [.keep(recipe.expertsInput)])))
    },
    Module(module: .feedForward, isOfExperts: false, drops: [.activation]) { recipe, _, steps in
      recipe.takeUp(.feedForwardNorm, &steps)
      recipe.gatherOperandRows(of: .branch, &steps)
      steps.append(
        .piece(
          .feedForwardCore,
          recipe.core(.feedForward, .forward)
            + recipe.keep(recipe.keptByCore(.feedForward), isAgain: true, only: [.activation])))
      recipe.completeSum(of: .branch, &steps)
    },
    Module(module: .sharedExperts, isOfExperts: true, drops: [.sharedActivation]) { recipe, experts, steps in
      guard let experts else { return }
      recipe.takeUp(.feedForwardNorm, unless: .norms, &steps)
      recipe.sharedForward(experts, isAgain: true, &steps)
    },
    Module(module: .expertActivation, isOfExperts: true, drops: [.activatedRows]) { recipe, experts, steps in
      if let experts { steps.append(.piece(.experts, recipe.activationAgain(experts))) }
    },
    Module(
      module: .experts, isOfExperts: true,
      drops: [.routing, .expertsLatent, .expertRows, .expertActivation, .activatedRows, .sharedActivation]
    ) { recipe, experts, steps in
      guard let experts else { return }
      recipe.takeUp(.feedForwardNorm, unless: .norms, &steps)
      recipe.expertsForward(experts, isAgain: true, &steps)
    },
  ]

  /// What modules of a block are computed again: those that are named, or where none is the attention core, of which a fused
  /// one keeps nothing that could be given up.
  var modules: Strategy.RecomputeModules {
    guard recompute == .selective, selective == .attentionCore else { return [] }
    if namedModules.isEmpty { return usesFlashAttention ? [] : .attentionCore }
    // With all of the feed-forward part these two are run again.
    return namedModules.contains(.experts)
      ? namedModules.subtracting([.expertActivation, .sharedExperts]) : namedModules
  }

  /// Whether recomputation is of named modules, which are run again in a pass of their own.
  package var runsModulesAgain: Bool { recompute == .selective && selective == .attentionCore && !namedModules.isEmpty }

  /// What forward does not keep of any block, since modules bring it back.
  static func droppedRoles(of recipe: Recipe) -> [KeptTensor.Role] {
    let modules = recipe.modules, exchanged = recipe.exchangedRoles
    return rows.filter { modules.contains($0.module) }.flatMap(\.drops).filter { !exchanged.contains($0) }
  }

  /// What backward reads of queries, keys and values as it has come in an exchange that is not run again.
  private var exchangedRoles: [KeptTensor.Role] {
    guard context.degree > 1, !modules.contains(.attentionCore) else { return [] }
    return context.headDegree > 1 ? [.queries, .keysValues] : context.gathers ? [] : [.keysValues]
  }

  /// Takes up what forward has kept of a piece's output, for an exchange to begin with: nothing is computed.
  ///
  /// - Parameter module: one that computes it just before.
  private func takeUp(_ piece: ModelPiece, unless module: Strategy.RecomputeModules? = nil, _ steps: inout [Step]) {
    guard module.map(modules.contains) != true else { return }
    steps.append(.piece(piece, []))
  }

  /// What is run again of a block before its backward pass, in the order of a forward pass.
  func modulesAgain(_ experts: RoutedExperts?) -> [Step] {
    let modules = modules
    var steps: [Step] = []
    for row in Self.rows where modules.contains(row.module) && row.isOfExperts ?? (experts != nil) == (experts != nil) {
      row.again(self, experts, &steps)
    }
    return steps
  }

  /// Of the kernels and collectives of a block's forward pass, the share that is launched again before its backward pass.
  ///
  /// - Parameters:
  ///   - forward: the block's forward pass.
  ///   - again: what of it is run again.
  package static func launchedAgainShare(forward: [Step], again: [Step]) -> Double {
    func launches(_ steps: [Step]) -> Int {
      steps.reduce(0) { count, step in
        guard case .piece(_, let operations) = step else { return count + 1 }
        return count
          + operations.count { operation in
            switch operation {
            case .keep, .free: false
            default: true
            }
          }
      }
    }
    let forward = launches(forward)
    return forward == 0 ? 0 : Double(launches(again)) / Double(forward)
  }
}
