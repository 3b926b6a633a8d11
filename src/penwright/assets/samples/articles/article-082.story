A taxi meter in Lower Pell that charges by the quality of the conversation has been approved by the licensing panel for a further year.

Driver Farouk Haddad, 55, bought it at the sale of a bankrupt inventor. He believed that it was broken. On the first night a passenger who talked about his own kitchen from the station to Beacon Hill was asked for thirty-eight pounds, while a girl who told him a riddle went to Pell Magna for ten pence.

He took it to be tested on a bench, where it ran up eleven pounds at the engineer.

Once word got about, people started to prepare. They came out with a subject. Housewife Trudy Lomax, 60, kept a notebook of remarks, but found that it was dear if she read from it. The lowest fare to date was for a man who did not speak at all until the clock tower, and then said quietly what he had been trying to say to his daughter for a year. The flag went up, and a penny dropped out of the slot.

Mr Haddad's takings are down by a quarter. He told the panel that he would not part with it. He drives home alone at three, he said, and it has begun to owe him money.

@highlight

Farouk Haddad's taxi meter charges according to how good the conversation is

@highlight

A dull passenger paid thirty-eight pounds and a riddler ten pence

@highlight

The licensing panel has approved the meter for another year
