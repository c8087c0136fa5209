package import JSONText

extension Strategy {
  /// The `strategy` object of run records and plans, with shard degrees where they are not what the ZeRO stage says.
  package var json: JSON { .object(members) }

  /// The keys of ``json``, each with its value.
  package var members: [JSONMember] {
    Self.keys.compactMap { key in key.writtenValue(of: self).map { JSONMember(key.name, $0) } }
  }

  /// Its parts as one line: `tensor=8,pipeline=4,…`, which `--strategy` reads.
  package var text: String { StrategyPattern(self).text }

  /// A phrase: `tensor 8 × pipeline 8 × data 2, micro-batch 1, ZeRO 1, recompute selective, sequence parallel`.
  package var words: String { words(of: nil) }

  /// The phrase with what its stages recompute: `recompute 1 of 32 layers` where that is not all of them.
  package func words(of split: Split?) -> String {
    let recomputed = split.flatMap { recomputedShare(of: $0) }.map { "recompute \($0.count) of \($0.all) layers" }
    let phrases = Self.keys.compactMap { key in
      let phrase = key.phrase(self)
      return key.property == \Strategy.recompute ? recomputed ?? phrase : phrase
    }
    return ([mesh.description] + phrases).joined(separator: ", ")
  }

  /// A table cell: `t8 p8 d2 b1 v2 z1 selective sp`; with shard levels `z3(2|8|128)`.
  package var short: String { short(Self.keys) }

  /// A table cell with what its stages recompute: `1/32` layers in place of `full` where that is not all of them.
  ///
  /// - Parameter precision: what it multiplies in, where a plan may choose.
  package func short(of split: Split, in precision: Precision? = nil) -> String {
    let recomputed = recomputedShare(of: split).map { "\($0.count)/\($0.all)" }
    let parts = Self.keys.compactMap { key in
      let short = key.short(self)
      return key.property == \Strategy.recompute ? recomputed ?? short : short
    }
    return (parts + [precision?.rawValue].compactMap { $0 }).joined(separator: " ")
  }

  /// How many layers are recomputed of how many, where stages choose for themselves and not all layers are.
  private func recomputedShare(of split: Split) -> (count: Int, all: Int)? {
    guard recompute == .full, let choices = split.choices else { return nil }
    let count = choices.indices.reduce(0) {
      $0 + split.recomputedCount(of: $1, choices[$1].recomputedLayerCount)
    }
    return count < split.layerCount ? (count, split.layerCount) : nil
  }

  /// The part of a table cell that says how replicas divide states: `z1`, `z3(2|8|128)`, `z3(128|128|128) s8 qw qg`.
  package var shortSharding: String { short(Self.shardingKeys) }

  private func short(_ keys: [StrategyKey]) -> String { keys.compactMap { $0.short(self) }.joined(separator: " ") }
}
