The basses of the Lower Pell Choral Society have been asked to rehearse out of town after it was shown that their bottom notes were unblocking drains.

Water engineers were called to Chapel Street on three successive Mondays, when householders complained of gurgling. Each visit fell in the middle of a rehearsal of a Russian evening hymn.

Engineer Terry Batt, 49, traced the effect to bar sixty, in which eleven men hold a low C for the length of eight slow beats. At that moment sinks cleared as far away as the cattle market, and a ring lost since 2003 came up in Mrs Dunne's bath.

"I could not do that with a van full of rods," Mr Batt said.

His company first wrote to ask for silence, and then a week later to ask for a price list. The society has agreed to sing for two evenings in October, by manhole, starting at the top of the hill.

Conductor Ursula Penn said she was pleased that the men had found an audience. The tenors, she added, were taking it badly and had begun to practise on windows.

@highlight

Low notes from choral society basses have been clearing drains in Chapel Street

@highlight

A ring lost in 2003 came up in a bath during one rehearsal

@highlight

A water company has hired the singers for two evenings in October
