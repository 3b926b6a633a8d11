The annual meeting of the Procrastinators' Society, which had been due in 2011, was held on Thursday and lasted for four minutes.

Those present were the president, Rupert Small, 62, and one member, Gillian Todd, who had come to apologise for being unable to attend. Letters were read from others who were hoping to join. The minutes of the last gathering were taken as written, on the understanding that they soon would be.

A cheque for the hall was signed with a flourish and left in a drawer.

Mr Small told the Gazette that a lot of nonsense was talked about the subject. He had never in his life failed to do a thing. There were things that he had not done yet, and he was on excellent terms with all of them. He had looked after a neighbour for eleven years while not getting round to emigrating.

Miss Todd agreed. She had put off being cross with her sister until it was too late to remember what it was about, and she could recommend it.

The chief item, a motion to wind up the Society, was carried over. An anniversary dinner was proposed for the same day last year, but it was felt that this would be rushing it.

@highlight

The Procrastinators' Society held its 2011 annual meeting on Thursday

@highlight

Two people came and it was over in four minutes

@highlight

A motion to wind up the Society was put off
