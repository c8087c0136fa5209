import Documents
import Testing

@Suite struct CapabilitiesTests {
  @Test func everyTableIsFoundByItsName() {
    for table in Capabilities.all {
      #expect(Capabilities.named(table.name.uppercased())?.name == table.name)
      #expect(!table.coefficientNames.isEmpty && !table.shardings.isEmpty)
    }
  }

  @Test func whatIsRefusedComesWithTheNearest() {
    let strategy = Strategy(mesh: [.data: 8], zeroStage: .weights)
    #expect(
      Capabilities.megatronLM.refusal(of: strategy)?.description
        == "megatron-lm (core 0.20) does not divide states as ZeRO 3; nearest: optimizer_shards of part of the replicas"
    )
    #expect(Capabilities.deepSpeed.refusal(of: strategy) == nil)
  }
}
