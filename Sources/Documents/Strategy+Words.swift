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
  package var words: String { ([mesh.description] + Self.keys.compactMap { $0.phrase(self) }).joined(separator: ", ") }

  /// A table cell: `t8 p8 d2 b1 v2 z1 selective sp`; with shard levels `z3(2|8|128)`.
  package var short: String { short(Self.keys) }

  /// The part of a table cell that says how replicas divide states: `z1`, `z3(2|8|128)`, `z3(128|128|128) s8 qw qg`.
  package var shortSharding: String { short(Self.shardingKeys) }

  private func short(_ keys: [StrategyKey]) -> String { keys.compactMap { $0.short(self) }.joined(separator: " ") }
}
